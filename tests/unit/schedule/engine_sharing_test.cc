// Engines that share sessions: turns that go on elsewhere, and what of a shared store is believed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/errors.h"
#include "tests/support/memory_shared_store.h"
#include "tests/unit/schedule/engine_fixture.h"

namespace ssmd::testing {
namespace {

using ::testing::HasSubstr;

class EngineSharingTest : public EngineTest {
 protected:
  EngineSharingTest() {
    sharing_.presence = std::chrono::milliseconds(300);
    sharing_.patience = std::chrono::seconds(20);
    sharing_.state_after = std::chrono::milliseconds(1);
  }
  void TearDown() override {
    other_.reset();
    EXPECT_EQ(other_probe_.violations, 0);
    EngineTest::TearDown();
  }
  FakeEngineOptions Shared() {
    FakeEngineOptions options;
    options.shared = &store_;
    options.sharing = sharing_;
    options.durability = Durability::kReplicated;
    return options;
  }
  void StartBoth() {
    Start(Shared());
    other_ = MakeFakeEngine(&other_probe_, Shared());
  }
  static GenerateRequest On(const std::string& session, std::vector<int32_t> prompt) {
    GenerateRequest request = Request(std::move(prompt), 5);
    request.session_id = session;
    request.durability = Durability::kReplicated;
    return request;
  }
  static void LeaveFor(Engine* engine) {
    ASSERT_TRUE(
        engine->LeaveReplicas(std::chrono::steady_clock::now() + std::chrono::minutes(1)).ok());
  }
  static std::vector<std::string> ListedIds(Engine* engine, const SessionFilter& filter,
                                            int page_size, const std::string& tenant = "tenant") {
    std::vector<std::string> ids;
    std::string token;
    do {
      const auto page = engine->ListSessions(tenant, filter, page_size, token);
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) break;
      for (const SessionInfo& session : page->sessions) ids.push_back(session.session_id);
      token = page->next_page_token;
    } while (!token.empty());
    return ids;
  }
  // What the store says of the session, as somebody else would have it.
  void Forge(const std::string& session, const std::function<void(SessionImage*)>& change) {
    auto contents = store_.Save();
    auto& shared = contents.sessions.at({"tenant", session});
    const ResolveState none = [](const std::string&, int64_t, size_t) { return nullptr; };
    auto changes = DecodeChanges(shared.image, none);
    ASSERT_TRUE(changes.ok()) << changes.status();
    change(&std::get<SessionImage>(changes->front()));
    shared.image = EncodeChanges(*changes);
    store_.Restore(std::move(contents));
  }

  SharingLimits sharing_;
  const SteadyClock clock_;
  test::MemorySharedStore store_{&clock_, {}};
  FakeProbe other_probe_;
  std::unique_ptr<Engine> other_;
};

TEST_F(EngineSharingTest, ATurnGoesOnElsewhereAsIfItHadStayed) {
  StartBoth();
  const std::string id = NewSession();
  OracleSession session;
  const GenerateRequest first = On(id, {1, 2, 3});
  session = CheckAnswer(&oracle_, RunTurn(engine_.get(), first), first, session)[0].after;
  const GenerateRequest second = On(id, {4, 5});
  const Answer there = RunTurn(other_.get(), second);
  EXPECT_EQ(there.started.at(0).state_source, StateSource::kRemote);
  session = CheckAnswer(&oracle_, there, second, session)[0].after;
  const GenerateRequest third = On(id, {6});
  const Answer back = RunTurn(engine_.get(), third);
  CheckAnswer(&oracle_, back, third, session);
  EXPECT_EQ(engine_->GetSession("tenant", id)->revision, 3u);
}

TEST_F(EngineSharingTest, ARetryElsewhereIsTheSameAnswerAndNoTurn) {
  StartBoth();
  const std::string id = NewSession();
  GenerateRequest request = On(id, {1, 2, 3});
  request.key = {"retry", 7};
  const Answer first = RunTurn(engine_.get(), request);
  const Answer again = RunTurn(other_.get(), request);
  EXPECT_TRUE(again.started.at(0).replayed);
  EXPECT_EQ(again.choices.at(0).token_ids, first.choices.at(0).token_ids);
  EXPECT_EQ(other_->GetSession("tenant", id)->revision, 1u);
}

TEST_F(EngineSharingTest, CallsBetweenTurnsFetchTheSession) {
  StartBoth();
  const std::string id = NewSession();
  RunTurn(engine_.get(), On(id, {1, 2, 3}));
  const auto child = other_->ForkSession("tenant", id, {});
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_EQ(engine_->GetSession("tenant", child->front().session_id)->position, 8);
  EXPECT_TRUE(engine_->DeleteSession("tenant", id, std::nullopt).ok());
  EXPECT_TRUE(absl::IsNotFound(other_->GetSession("tenant", id).status()));
}

TEST_F(EngineSharingTest, NothingIsMadeWhereSessionsAreGivenUp) {
  StartBoth();
  const std::string id = NewSession();
  RunTurn(engine_.get(), On(id, {1, 2, 3}));
  const std::string bytes = ExportSession(engine_.get(), id);
  engine_->Drain();
  EXPECT_EQ(ReasonOf(CreateSession(engine_.get(), "tenant").status()), reason::kDraining);
  EXPECT_EQ(ReasonOf(engine_->ImportSession("tenant", {}, bytes).status()), reason::kDraining);
  LeaveFor(engine_.get());
  EXPECT_EQ(ReasonOf(engine_->GetSession("tenant", id).status()), reason::kDraining);
  EXPECT_EQ(ReasonOf(engine_->ForkSession("tenant", id, {}).status()), reason::kDraining);
  EXPECT_TRUE(other_->ImportSession("tenant", {}, bytes).ok());
  EXPECT_EQ(other_->GetSession("tenant", id)->position, 8);
}

TEST_F(EngineSharingTest, WhatCannotBeFetchedIsSaidByTheStream) {
  sharing_.patience = std::chrono::milliseconds(50);
  StartBoth();
  const std::string id = NewSession();
  store_.SetReachable(false);
  const Answer answer = RunTurn(other_.get(), On(id, {1}));
  EXPECT_TRUE(absl::IsUnavailable(answer.status)) << answer.status;
  EXPECT_EQ(ReasonOf(answer.status), reason::kSharedStore);
  EXPECT_TRUE(answer.started.empty());
}

TEST_F(EngineSharingTest, TokensThatTheModelHasNotAreNotBelieved) {
  StartBoth();
  for (const int32_t token : {1 << 20, -1}) {
    const std::string id = NewSession();
    RunTurn(engine_.get(), On(id, {1, 2, 3}));
    LeaveFor(engine_.get());
    Forge(id, [token](SessionImage* image) {
      image->history = {LoggedToken(token, false)};
      image->pending_tokens = 1;
      image->turn_ends.clear();
      image->results.clear();
    });
    const absl::Status status = other_->GetSession("tenant", id).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("the shared history: token id"));
    EXPECT_EQ(other_->Figures().sharing->sessions, 0);
    Start(Shared());
  }
}

TEST_F(EngineSharingTest, WhatIsDamagedCanBeDeleted) {
  StartBoth();
  const std::string id = NewSession();
  RunTurn(engine_.get(), On(id, {1, 2, 3}));
  LeaveFor(engine_.get());
  auto contents = store_.Save();
  contents.sessions.at({"tenant", id}).image = "nonsense";
  store_.Restore(std::move(contents));
  EXPECT_TRUE(absl::IsDataLoss(other_->GetSession("tenant", id).status()));
  EXPECT_TRUE(absl::IsDataLoss(other_->DeleteSession("tenant", id, 1)))
      << "nobody knows which it is";
  EXPECT_EQ(other_->DeleteSession("tenant", id, std::nullopt), absl::OkStatus());
  EXPECT_TRUE(absl::IsNotFound(other_->GetSession("tenant", id).status()));
}

TEST_F(EngineSharingTest, AHistoryMayNotBeLongerThanOnesOfThisEngine) {
  Start(Shared());
  FakeEngineOptions small = Shared();
  small.limits.max_history_tokens = 6;
  other_ = MakeFakeEngine(&other_probe_, std::move(small));
  const std::string id = NewSession();
  RunTurn(engine_.get(), On(id, {1, 2, 3}));
  const absl::Status status = other_->GetSession("tenant", id).status();
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(ReasonOf(status), reason::kHistoryTooLong) << status;
  EXPECT_EQ(engine_->GetSession("tenant", id)->position, 8);
}

TEST_F(EngineSharingTest, AListIsTheSameAtBoth) {
  StartBoth();
  std::vector<std::string> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(NewSession());
  for (int i = 0; i < 3; ++i) ids.push_back(CreateSession(other_.get(), "tenant")->session_id);
  NewSession("stranger");
  ForkOptions twice;
  twice.count = 2;
  const auto children = other_->ForkSession("tenant", ids[5], twice);
  ASSERT_TRUE(children.ok()) << children.status();
  for (const SessionInfo& child : *children) ids.push_back(child.session_id);
  RunTurn(engine_.get(), On(ids[4], {1, 2, 3}));  // moves
  RunTurn(other_.get(), On(ids[1], {4, 5}));
  ASSERT_TRUE(other_->DeleteSession("tenant", ids[2], std::nullopt).ok());
  const std::string deleted = ids[2], parent = ids[5], moved = ids[4];
  ids.erase(ids.begin() + 2);
  std::sort(ids.begin(), ids.end());
  for (Engine* engine : {engine_.get(), other_.get()}) {
    for (const int page_size : {1, 2, 3, 1000}) {
      EXPECT_EQ(ListedIds(engine, {}, page_size), ids) << page_size;
      EXPECT_EQ(ListedIds(engine, {"", parent}, page_size).size(), 2U) << page_size;
      EXPECT_EQ(ListedIds(engine, {"fake", ""}, page_size), ids) << page_size;
    }
    EXPECT_TRUE(absl::IsNotFound(engine->ListSessions("tenant", {"none", ""}, 1, "").status()));
    EXPECT_TRUE(absl::IsInvalidArgument(engine->ListSessions("tenant", {}, 1001, "").status()));
    EXPECT_EQ(ListedIds(engine, {}, 1, "stranger").size(), 1U);
    EXPECT_TRUE(ListedIds(engine, {}, 1, "nobody").empty());
    EXPECT_TRUE(absl::IsNotFound(engine->GetSession("tenant", deleted).status()));
    EXPECT_TRUE(absl::IsNotFound(engine->GetSession("stranger", moved).status()));
  }
  const auto page = other_->ListSessions("tenant", {}, 1000, "");
  ASSERT_TRUE(page.ok());
  for (const SessionInfo& session : page->sessions) {
    EXPECT_TRUE(session.session_id != moved || session.position == 8);
  }
}

TEST_F(EngineSharingTest, WithoutTheStoreThereIsNoList) {
  StartBoth();
  NewSession();
  store_.SetReachable(false);
  const absl::Status status = engine_->ListSessions("tenant", {}, 10, "").status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(ReasonOf(status), reason::kSharedStore);
  EXPECT_TRUE(RetryAfterOf(status).has_value());
  store_.SetReachable(true);
  EXPECT_EQ(ListedIds(engine_.get(), {}, 10).size(), 1U);
}

TEST_F(EngineSharingTest, WithoutASharedStoreNothingIsReplicated) {
  Start();
  const absl::Status status = Refusal(On(NewSession(), {1}));
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_EQ(ReasonOf(status), reason::kNoSharedStore);
  EXPECT_TRUE(engine_->LeaveReplicas(std::chrono::steady_clock::now()).ok());
  EXPECT_FALSE(engine_->Figures().sharing.has_value());
}

}  // namespace
}  // namespace ssmd::testing
