#include "engine/state/session_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "engine/base/errors.h"
#include "tests/support/memory_device.h"

namespace ssmd {
namespace {

using ::testing::ElementsAre;

class SessionTableTest : public ::testing::Test {
 protected:
  SessionTableTest() : device_(1 << 20) {
    layout_.Add(0, "ssm", StateKind::kSsm, {4});
    pool_ = *StatePool::Create(&device_, layout_, 4);
  }
  std::string New(const std::string& tenant = "ann") {
    return table_->Create(tenant, "model")->session_id;
  }
  // Commits a turn that appends `tokens`, the last `pending` of them not consumed.
  absl::StatusOr<uint64_t> Append(const std::string& id, const std::vector<int32_t>& tokens,
                                  int64_t pending) {
    auto lease = table_->BeginTurn("ann", id, std::nullopt, 0);
    if (!lease.ok()) return lease.status();
    return table_->Commit(&*lease, MakeCommit(tokens, pending));
  }
  SessionCommit MakeCommit(const std::vector<int32_t>& tokens, int64_t pending) {
    SessionCommit commit;
    for (const int32_t token : tokens) commit.appended.emplace_back(token, true);
    commit.pending_tokens = pending;
    commit.slot = pool_->Acquire();
    return commit;
  }

  testing::MemoryDevice device_;
  StateLayout layout_;
  std::unique_ptr<StatePool> pool_;
  std::unique_ptr<SessionTable> table_ = std::make_unique<SessionTable>(3);
};

TEST_F(SessionTableTest, NewSessionIsEmpty) {
  const auto info = table_->Get("ann", New());
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->model, "model");
  EXPECT_EQ(info->revision, 0u);
  EXPECT_EQ(info->position, 0);
  EXPECT_EQ(info->pending_tokens, 0);
  EXPECT_FALSE(info->running);
  EXPECT_FALSE(info->resident);
  EXPECT_GT(info->created_unix_ms, 1600000000000);
}

TEST_F(SessionTableTest, IdsAre128BitsInLowerCaseHex) {
  std::set<std::string> ids;
  SessionTable large(1000);
  for (int i = 0; i < 1000; ++i) ids.insert(large.Create("ann", "model")->session_id);
  EXPECT_EQ(ids.size(), 1000u);
  for (const std::string& id : ids) {
    EXPECT_EQ(id.size(), 32u);
    EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos) << id;
  }
}

TEST_F(SessionTableTest, HidesForeignSessions) {
  const std::string id = New("ann");
  const std::string absent(32, 'a');
  const absl::Status foreign = table_->Get("bob", id).status();
  absl::Status missing = table_->Get("bob", absent).status();
  EXPECT_EQ(foreign.code(), missing.code());
  EXPECT_EQ(ReasonOf(foreign), reason::kSessionNotFound);
  std::string expected(missing.message());
  expected.replace(expected.find(absent), absent.size(), id);
  EXPECT_EQ(std::string(foreign.message()), expected);
  EXPECT_TRUE(absl::IsNotFound(table_->BeginTurn("bob", id, std::nullopt, 0).status()));
  EXPECT_TRUE(absl::IsNotFound(table_->Delete("bob", id, std::nullopt).status()));
  EXPECT_TRUE(table_->List("bob", "", 10, "")->sessions.empty());
  EXPECT_TRUE(table_->Get("ann", id).ok());
}

TEST_F(SessionTableTest, LimitIsPerTenantAndExact) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(table_->Create("ann", "model").ok()) << i;
  const absl::Status refused = table_->Create("ann", "model").status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_EQ(ReasonOf(refused), reason::kTooManySessions);
  EXPECT_TRUE(table_->Create("bob", "model").ok());
  const std::string some = table_->List("ann", "", 1, "")->sessions[0].session_id;
  EXPECT_TRUE(table_->Delete("ann", some, std::nullopt).ok());
  EXPECT_TRUE(table_->Create("ann", "model").ok());
}

TEST_F(SessionTableTest, ReservationsCountUntilTheyAreReleased) {
  auto reservation = table_->Reserve("ann", 2);
  ASSERT_TRUE(reservation.ok());
  EXPECT_TRUE(table_->Create("ann", "model").ok());
  EXPECT_FALSE(table_->Create("ann", "model").ok());
  EXPECT_FALSE(table_->Reserve("ann", 1).ok());
  reservation->Release();
  EXPECT_TRUE(table_->Create("ann", "model").ok());
}

TEST_F(SessionTableTest, OneTurnAtATime) {
  const std::string id = New();
  auto lease = table_->BeginTurn("ann", id, std::nullopt, 0);
  ASSERT_TRUE(lease.ok());
  EXPECT_TRUE(table_->Get("ann", id)->running);
  const absl::Status busy = table_->BeginTurn("ann", id, std::nullopt, 0).status();
  EXPECT_TRUE(absl::IsAborted(busy));
  EXPECT_EQ(ReasonOf(busy), reason::kSessionBusy);
  lease->Release();
  EXPECT_FALSE(table_->Get("ann", id)->running);
  EXPECT_TRUE(table_->BeginTurn("ann", id, std::nullopt, 0).ok());
}

TEST_F(SessionTableTest, CommitTakesTheSessionOnAndEndsTheTurn) {
  const std::string id = New();
  ASSERT_EQ(*Append(id, {1, 2, 3}, 1), 1u);
  ASSERT_EQ(*Append(id, {4, 5}, 2), 2u);
  const auto info = table_->Get("ann", id);
  EXPECT_EQ(info->revision, 2u);
  EXPECT_EQ(info->position, 5);
  EXPECT_EQ(info->pending_tokens, 2);
  EXPECT_THAT(info->last_token_ids, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_TRUE(info->resident);
  EXPECT_FALSE(info->running);
  EXPECT_EQ(pool_->free_slots(), 3) << "the old slot is free";

  auto lease = table_->BeginTurn("ann", id, std::nullopt, 3);
  ASSERT_TRUE(lease.ok());
  EXPECT_THAT(lease->base().pending, ElementsAre(4, 5));
  EXPECT_EQ(lease->base().consumed(), 3);
  ASSERT_EQ(lease->base().recent.size(), 3u);
  EXPECT_EQ(lease->base().recent[0].token_id(), 3);
}

TEST_F(SessionTableTest, ExpectedRevisionGuardsEveryMutation) {
  const std::string id = New();
  ASSERT_TRUE(Append(id, {1}, 1).ok());
  for (const uint64_t wrong : {uint64_t{0}, uint64_t{2}}) {
    const absl::Status turn = table_->BeginTurn("ann", id, wrong, 0).status();
    EXPECT_TRUE(absl::IsAborted(turn));
    EXPECT_EQ(ReasonOf(turn), reason::kRevisionMismatch);
    EXPECT_TRUE(absl::IsAborted(table_->Delete("ann", id, wrong).status()));
  }
  EXPECT_TRUE(table_->BeginTurn("ann", id, 1, 0).ok());
  EXPECT_TRUE(table_->Delete("ann", id, 1).ok());
}

TEST_F(SessionTableTest, ADeletedSessionTakesNoCommit) {
  const std::string id = New();
  auto lease = table_->BeginTurn("ann", id, std::nullopt, 0);
  const auto deleted = table_->Delete("ann", id, std::nullopt);
  ASSERT_TRUE(deleted.ok());
  EXPECT_TRUE(deleted->running);
  EXPECT_FALSE(deleted->resident);
  EXPECT_TRUE(absl::IsCancelled(table_->Commit(&*lease, MakeCommit({1}, 1)).status()));
  EXPECT_EQ(pool_->free_slots(), 4);
  EXPECT_TRUE(absl::IsNotFound(table_->Get("ann", id).status()));
}

TEST_F(SessionTableTest, ChildrenCarryTheHistoryAndLeaveTheParentAsItIs) {
  const std::string id = New();
  ASSERT_TRUE(Append(id, {1, 2}, 1).ok());
  auto lease = table_->BeginTurn("ann", id, std::nullopt, 0);
  auto room = table_->Reserve("ann", 2);
  ASSERT_TRUE(room.ok());
  std::vector<SessionCommit> commits;
  commits.push_back(MakeCommit({3, 4}, 1));
  commits.push_back(MakeCommit({5}, 0));
  const auto children = table_->CommitChildren(&*lease, &*room, std::move(commits));
  ASSERT_TRUE(children.ok()) << children.status();
  ASSERT_EQ(children->size(), 2u);
  EXPECT_THAT((*children)[0].last_token_ids, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT((*children)[1].last_token_ids, ElementsAre(1, 2, 5));
  EXPECT_EQ((*children)[1].pending_tokens, 0);
  EXPECT_EQ((*children)[0].revision, 1u);
  const auto parent = table_->Get("ann", id);
  EXPECT_EQ(parent->revision, 1u);
  EXPECT_EQ(parent->position, 2);
  EXPECT_FALSE(parent->running);
  EXPECT_EQ(table_->CountOf("model"), 3);
  EXPECT_FALSE(table_->Create("ann", "model").ok()) << "the children count";
}

TEST_F(SessionTableTest, AllChildrenOrNoneWhenTheParentIsGone) {
  const std::string id = New();
  auto lease = table_->BeginTurn("ann", id, std::nullopt, 0);
  auto room = table_->Reserve("ann", 2);
  ASSERT_TRUE(table_->Delete("ann", id, std::nullopt).ok());
  std::vector<SessionCommit> commits;
  commits.push_back(MakeCommit({3}, 1));
  EXPECT_TRUE(
      absl::IsCancelled(table_->CommitChildren(&*lease, &*room, std::move(commits)).status()));
  EXPECT_EQ(table_->CountOf("model"), 0);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(table_->Create("ann", "model").ok());
}

TEST(SessionTableList, PagesThroughEverySessionOnceInTheOrderOfIds) {
  SessionTable table(100);
  std::set<std::string> all;
  for (int i = 0; i < 25; ++i) {
    all.insert(table.Create("ann", i % 5 == 0 ? "other" : "model")->session_id);
  }
  table.Create("bob", "model").IgnoreError();
  for (const int page_size : {1, 7, 25, 26}) {
    std::vector<std::string> seen;
    std::string token;
    do {
      const auto page = table.List("ann", "", page_size, token);
      ASSERT_TRUE(page.ok());
      EXPECT_LE(page->sessions.size(), static_cast<size_t>(page_size));
      for (const SessionInfo& session : page->sessions) seen.push_back(session.session_id);
      token = page->next_page_token;
    } while (!token.empty());
    EXPECT_EQ(seen, std::vector<std::string>(all.begin(), all.end())) << page_size;
  }
  EXPECT_EQ(table.List("ann", "other", 100, "")->sessions.size(), 5u);
  EXPECT_EQ(table.CountOf("other"), 5);
  for (const char* bad : {"x", "ABCDEFABCDEFABCDEFABCDEFABCDEFAB", "../etc/passwd"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(table.List("ann", "", 10, bad).status())) << bad;
  }
}

}  // namespace
}  // namespace ssmd
