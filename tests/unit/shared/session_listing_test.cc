// Lists of sessions that are at several replicas.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/shared/session_sharing.h"
#include "engine/shared/session_summary.h"
#include "tests/unit/shared/sharing_fixture.h"

namespace ssmd {
namespace {

using test::Eventually;
using test::Node;
using test::SharingTest;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SessionListingTest : public SharingTest {
 protected:
  static absl::StatusOr<SessionPage> List(Node& node, const SessionFilter& filter = {},
                                          int page_size = 1000, const std::string& token = "") {
    return node.sharing().List("ann", filter, page_size, token);
  }
  // The ids of all pages, each of which but the last is full.
  static std::vector<std::string> Ids(Node& node, const SessionFilter& filter = {},
                                      int page_size = 1000) {
    std::vector<std::string> ids;
    std::string token;
    do {
      const auto page = List(node, filter, page_size, token);
      if (!page.ok()) {
        ADD_FAILURE() << page.status();
        return ids;
      }
      for (const SessionInfo& session : page->sessions) ids.push_back(session.session_id);
      token = page->next_page_token;
      if (!token.empty()) {
        EXPECT_THAT(page->sessions, SizeIs(page_size));
        EXPECT_EQ(token, ids.back());
      }
    } while (!token.empty());
    return ids;
  }
  static SessionInfo Listed(Node& node, const std::string& id) {
    const auto page = List(node);
    EXPECT_TRUE(page.ok()) << page.status();
    if (page.ok()) {
      for (const SessionInfo& session : page->sessions) {
        if (session.session_id == id) return session;
      }
    }
    ADD_FAILURE() << id << " is not listed";
    return {};
  }
  // Sessions that are in the store alone, of ids that are numbers.
  static std::string IdOf(int number) {
    return absl::StrCat("0000000000000000", absl::Hex(number, absl::kZeroPad16));
  }
  void PutInStore(int count, const std::function<void(int, std::string*, SessionInfo*)>& change) {
    auto contents = store_.Save();
    for (int i = 0; i < count; ++i) {
      SessionInfo info;
      info.model = "model";
      std::string id = IdOf(i);
      change(i, &id, &info);
      auto& session = contents.sessions[{"ann", id}];
      session.summary = EncodeSessionSummary(info);
      session.end = clock_.Now() + std::chrono::hours(1);
    }
    store_.Restore(std::move(contents));
  }
};

TEST_F(SessionListingTest, IsTheSameAtEachReplica) {
  const auto a = Start(1), b = Start(2), c = Start(3);
  std::vector<std::string> all, children;
  for (int i = 0; i < 9; ++i) all.push_back((i % 2 == 0 ? a : b)->New());
  const std::string parent = all[0];
  for (int i = 0; i < 4; ++i) {
    const auto child = a->Write(a->table().ProposeFork("ann", parent, {}));
    ASSERT_TRUE(child.ok()) << child.status();
    children.push_back(child->session_id);
  }
  ASSERT_TRUE(b->Hold(children[1]).ok());
  ASSERT_TRUE(a->Write(a->table().ProposeDelete("ann", all[8], {}, nullptr)).ok());
  all.pop_back();
  all.insert(all.end(), children.begin(), children.end());
  std::sort(all.begin(), all.end());
  std::sort(children.begin(), children.end());
  for (Node* node : {a.get(), b.get(), c.get()}) {
    for (const int page_size : {1, 2, 3, 4, 11, 12, 13, 1000}) {
      EXPECT_THAT(Ids(*node, {}, page_size), ElementsAreArray(all)) << page_size;
      EXPECT_THAT(Ids(*node, {"", parent}, page_size), ElementsAreArray(children)) << page_size;
      EXPECT_THAT(Ids(*node, {"model", ""}, page_size), ElementsAreArray(all)) << page_size;
      EXPECT_THAT(Ids(*node, {"other", ""}, page_size), IsEmpty());
    }
    EXPECT_THAT(node->sharing().List("bob", {}, 10, "")->sessions, IsEmpty());
  }
  EXPECT_EQ(a->sharing().figures().claimed, 0) << "to be listed moves nothing";
}

TEST_F(SessionListingTest, WhatIsHereIsAsItIsAndTheRestAsItWasWritten) {
  const auto a = Start(1), b = Start(2);
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2, 3}).ok());
  ASSERT_TRUE(a->Turn(id, {4}).ok());
  ASSERT_TRUE(a->Write(a->table().ProposeCheckpoint("ann", id, {"draft", false, {}})).ok());
  const auto lease = a->table().Enqueue("ann", id, WhenBusy::kAbort, {}, {});
  ASSERT_TRUE(lease.ok());
  const SessionInfo here = Listed(*a, id), there = Listed(*b, id);
  EXPECT_TRUE(here.running);
  EXPECT_TRUE(here.tier.has_value());
  EXPECT_THAT(here.checkpoints, SizeIs(1));
  EXPECT_FALSE(there.running);
  EXPECT_FALSE(there.tier.has_value());
  EXPECT_THAT(there.checkpoints, IsEmpty());
  EXPECT_EQ(there.model, "model");
  EXPECT_EQ(there.revision, here.revision);
  EXPECT_EQ(there.position, 4);
  EXPECT_EQ(there.pending_tokens, 1);
  EXPECT_THAT(there.last_token_ids, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(there.history_hash, here.history_hash);
  EXPECT_EQ(there.created_unix_ms, here.created_unix_ms);
}

TEST_F(SessionListingTest, WhatTheStoreHasNotHeardOfIsListedWhereItIs) {
  const auto a = Start(1), b = Start(2);
  const std::string gone = a->New();
  store_.SetReachable(false);
  const std::string made = a->New();
  ASSERT_TRUE(
      a->Write(a->table().ProposeDelete("ann", gone, {}, nullptr), Durability::kProcess).ok());
  store_.SetReachable(true);
  EXPECT_THAT(Ids(*a), ElementsAre(made));
  EXPECT_TRUE(Eventually([&] { return Ids(*b) == std::vector<std::string>{made}; }));
}

TEST_F(SessionListingTest, WhatWasHereBeforeARestartIsAsTheStoreSays) {
  const auto a = Start(1);
  const std::string moved = a->New(), lost = a->New();
  ASSERT_TRUE(a->Turn(moved, {1, 2}).ok());
  Node again(3, &store_, limits_);
  for (const std::string& id : {moved, lost}) {
    ASSERT_TRUE(again.table().Replay({a->table().Freeze({"ann", id})->Image()}).ok());
  }
  ASSERT_TRUE(a->Turn(moved, {3}).ok());
  auto contents = store_.Save();
  contents.sessions.erase({"ann", lost});
  store_.Restore(std::move(contents));
  again.Start();
  EXPECT_EQ(again.table().Get("ann", moved)->revision, 1U);
  EXPECT_EQ(Listed(again, moved).revision, 2U);
  EXPECT_EQ(Listed(again, lost).revision, 0U);
  EXPECT_THAT(Ids(again, {}, 1), SizeIs(2));
}

TEST_F(SessionListingTest, WhoseTimeIsOverIsListedWhereItStillIs) {
  const auto a = Start(1), b = Start(2);
  const std::string id =
      a->Write(a->table().ProposeCreate("ann", "model", {.ttl_ms = 1, .idle_ms = 0}))->session_id;
  const std::string lasting =
      a->Write(a->table().ProposeCreate("ann", "model", {.ttl_ms = 3'600'000, .idle_ms = 0}))
          ->session_id;
  EXPECT_TRUE(Eventually([&] { return Ids(*b) == std::vector<std::string>{lasting}; }));
  EXPECT_THAT(Ids(*a), SizeIs(2));
}

TEST_F(SessionListingTest, APageEndsWhereItHasLookedAtManyInVain) {
  const auto a = Start(1);
  constexpr int kCount = 5000;
  const std::string parent(32, 'f');
  PutInStore(kCount, [&](int number, std::string*, SessionInfo* info) {
    if (number == 0 || number == kCount - 1) info->parent_id = parent;
  });
  const auto first = List(*a, {"", parent}, 2);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_THAT(first->sessions, SizeIs(1));
  EXPECT_EQ(first->next_page_token, IdOf(4095));
  const auto last = List(*a, {"", parent}, 2, first->next_page_token);
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_THAT(last->sessions, SizeIs(1));
  EXPECT_EQ(last->next_page_token, "");
  // None at all, and others follow.
  const auto none = List(*a, {"", parent}, 2, IdOf(0));
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_THAT(none->sessions, IsEmpty());
  EXPECT_EQ(none->next_page_token, IdOf(4096));
  // What is here is not listed before what may come before it.
  const std::string own = a->Write(a->table().ProposeCreate("ann", "model", {}))->session_id;
  ASSERT_GT(own, IdOf(kCount));
  EXPECT_THAT(List(*a, {}, 1000, IdOf(4500))->sessions, SizeIs(500));
  EXPECT_THAT(List(*a, {"none", ""}, 1000)->sessions, IsEmpty());
  EXPECT_EQ(Ids(*a, {}, 1000).size(), kCount + 1);
}

TEST_F(SessionListingTest, WhatCannotBeReadIsLeftOutAndCounted) {
  const auto a = Start(1);
  PutInStore(6, [&](int number, std::string* id, SessionInfo* info) {
    if (number == 1) info->model = "\xff";
    if (number == 2) info->position = -5;
    if (number == 3) *id = "3 is none";
  });
  auto contents = store_.Save();
  contents.sessions.at({"ann", IdOf(4)}).summary = "x";
  store_.Restore(std::move(contents));
  const int64_t failures = a->sharing().figures().failures;
  EXPECT_THAT(Ids(*a), ElementsAre(IdOf(0), IdOf(5)));
  EXPECT_GE(a->sharing().figures().failures, failures + 4);
}

TEST_F(SessionListingTest, NoTokenIsMadeOfWhatIsNoSession) {
  const auto a = Start(1);
  PutInStore(4096,
             [](int number, std::string* id, SessionInfo*) { *id = absl::StrCat("\xff", number); });
  const absl::Status status = List(*a).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(ReasonOf(status), reason::kSharedStore);
}

TEST_F(SessionListingTest, WithoutTheStoreThereIsNone) {
  const auto a = Start(1);
  a->New();
  store_.SetReachable(false);
  const absl::Status status = List(*a).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(ReasonOf(status), reason::kSharedStore);
  EXPECT_TRUE(RetryAfterOf(status).has_value());
  EXPECT_TRUE(absl::IsInvalidArgument(List(*a, {}, 1, "no token").status()));
  store_.SetReachable(true);
  EXPECT_THAT(List(*a)->sessions, SizeIs(1));
}

// Changes that wait together are written one by one: the summary says no more than is there.
TEST_F(SessionListingTest, OfManyChangesTheLastBringsTheSummary) {
  const auto a = Start(1), b = Start(2);
  const std::string id = a->New();
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(a->Turn(id, {i + 1}, Durability::kProcess).ok());
  EXPECT_TRUE(Eventually([&] { return Listed(*b, id).revision == 30; }));
  EXPECT_TRUE(Settled(*a));
  EXPECT_EQ(Listed(*b, id).position, 30);
}

}  // namespace
}  // namespace ssmd
