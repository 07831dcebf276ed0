// Turns that wait for each other, turns that are cut short, and sessions whose time is over.
#include <gmock/gmock.h>

#include <thread>

#include "tests/e2e/session_fixture.h"

namespace ssmd::test {
namespace {

using SessionsTurnsTest = SessionFixture;

TEST_F(SessionsTurnsTest, ATurnThatMayWaitRunsAfterTheOneInProgress) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  client::Generation first = client_->Generate(TurnOn(id, "Once upon a time", 300), {});
  ASSERT_TRUE(first.Next().has_value());
  v1::GenerateRequest second = TurnOn(id, " and then", 6);
  second.set_when_busy(v1::WHEN_BUSY_WAIT);
  Turn waited;
  std::thread waiter([&] { waited = RunTurn(*client_, second); });
  EXPECT_TRUE(Eventually([&] { return Get(id).waiting_turns() == 1 || !Get(id).running(); }));
  EXPECT_FALSE(first.Finish().has_value());
  waiter.join();
  ASSERT_FALSE(waited.error) << waited.Describe();
  EXPECT_EQ(waited.started.base_revision(), 1U);
  EXPECT_EQ(waited.only().finished.revision(), 2U);
}

TEST_F(SessionsTurnsTest, OnlySoManyWait) {
  ASSERT_NO_FATAL_FAILURE(Start({"--max-session-waiting", "1"}));
  const std::string id = Create();
  client::Generation running = client_->Generate(TurnOn(id, "Once", 60000), {});
  ASSERT_TRUE(running.Next().has_value());
  v1::GenerateRequest wait = TurnOn(id, " and", 3);
  wait.set_when_busy(v1::WHEN_BUSY_WAIT);
  client::Generation waiting = client_->Generate(wait, {});
  ASSERT_TRUE(Eventually([&] { return Get(id).waiting_turns() == 1; }));
  EXPECT_EQ(RunTurn(*client_, wait).code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(SessionsTurnsTest, ACancelledTurnLeavesNothing) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once", 4, &history);
  {
    client::Generation dropped = client_->Generate(TurnOn(id, " more", 60000), {});
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(dropped.Next().has_value());
  }
  ASSERT_TRUE(Eventually([&] { return !Get(id).running(); }));
  EXPECT_EQ(Get(id).revision(), 1U);
  SayAndCheck(id, " and", 5, &history);
}

TEST_F(SessionsTurnsTest, APartialCommitKeepsWhatWasDeliveredAndGoesOnExactly) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  const std::string text = "Once upon a time";
  v1::GenerateRequest request = TurnOn(id, text, 60000);
  request.set_commit(v1::COMMIT_PARTIAL);
  std::vector<int32_t> read;
  {
    client::Generation dropped = client_->Generate(request, {});
    while (read.size() < 20) {
      const auto event = dropped.Next();
      ASSERT_TRUE(event.has_value());
      for (const int32_t token : event->delta().token_ids()) read.push_back(token);
    }
  }
  ASSERT_TRUE(Eventually([&] { return !Get(id).running() && Get(id).revision() == 1; }));
  std::vector<int32_t> history = Tokenize(text);
  const auto kept = Get(id).position() - static_cast<int64_t>(history.size());
  // At least what was read here; more may have been on its way.
  ASSERT_GE(kept, static_cast<int64_t>(read.size()));
  Append(Truth({}, text, static_cast<int>(kept)), &history);
  SayAndCheck(id, " The end", 6, &history);
}

TEST_F(SessionsTurnsTest, APartialCommitKeepsWhatWasReadBeforeTheCallerLeftAtOnce) {
  ASSERT_NO_FATAL_FAILURE(Start());
  for (int i = 0; i < 200; ++i) {
    const std::string id = Create();
    v1::GenerateRequest request = TurnOn(id, "Once", 60000);
    request.set_commit(v1::COMMIT_PARTIAL);
    int read = 0;
    {
      client::Generation dropped = client_->Generate(request, {});
      while (read == 0) {
        const auto event = dropped.Next();
        ASSERT_TRUE(event.has_value());
        read += event->delta().token_ids_size();
      }
    }
    ASSERT_TRUE(Eventually([&] { return !Get(id).running(); }));
    const v1::Session left = Get(id);
    ASSERT_EQ(left.revision(), 1U) << "the answer was lost in round " << i;
    EXPECT_GE(left.position(), static_cast<int64_t>(Tokenize("Once").size()) + read);
    ASSERT_FALSE(client_->DeleteSession(id).has_value());
  }
}

TEST_F(SessionsTurnsTest, ASessionEndsWhenItsTimeIsOver) {
  ASSERT_NO_FATAL_FAILURE(Start());
  v1::CreateSessionRequest brief;
  brief.mutable_lifetime()->set_ttl_seconds(1);
  const auto session = client_->CreateSession(brief);
  ASSERT_TRUE(session.ok());
  EXPECT_GT(session.value().expires_unix_ms(), session.value().created_unix_ms());
  v1::CreateSessionRequest unused;
  unused.mutable_lifetime()->set_idle_seconds(1);
  const auto idle = client_->CreateSession(unused);
  ASSERT_TRUE(idle.ok());
  const std::string lasting = Create();
  EXPECT_EQ(Get(lasting).expires_unix_ms(), 0);
  EXPECT_TRUE(Eventually(
      [&] { return !Exists(session.value().session_id()) && !Exists(idle.value().session_id()); }));
  EXPECT_TRUE(Exists(lasting));
}

TEST_F(SessionsTurnsTest, TheServersLifetimeIsForThoseThatDoNotSay) {
  ASSERT_NO_FATAL_FAILURE(Start({"--session-ttl", "3600"}));
  EXPECT_GT(Get(Create()).expires_unix_ms(), 0);
  v1::CreateSessionRequest eternal;
  eternal.mutable_lifetime()->set_ttl_seconds(0);
  EXPECT_EQ(client_->CreateSession(eternal).value().expires_unix_ms(), 0);
}

}  // namespace
}  // namespace ssmd::test
