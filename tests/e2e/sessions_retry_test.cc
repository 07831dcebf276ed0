// Turns with a name: tried again, they are applied once.
#include <gmock/gmock.h>

#include "tests/e2e/session_fixture.h"

namespace ssmd::test {
namespace {

using SessionsRetryTest = SessionFixture;

TEST_F(SessionsRetryTest, TheSameRequestIsAnsweredAgainAndAppliedOnce) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  v1::GenerateRequest request = TurnOn(id, "Once upon a time", 8);
  request.set_request_id("first");
  const Turn first = RunTurn(*client_, request);
  ASSERT_FALSE(first.error) << first.Describe();
  EXPECT_FALSE(first.started.replayed());
  const Turn again = RunTurn(*client_, request);
  ASSERT_FALSE(again.error) << again.Describe();
  EXPECT_TRUE(again.started.replayed());
  EXPECT_EQ(again.only().text, first.only().text);
  EXPECT_EQ(again.only().ids, first.only().ids);
  EXPECT_EQ(again.only().finished.revision(), 1U);
  EXPECT_EQ(again.started.seed(), first.started.seed());
  EXPECT_EQ(Get(id).revision(), 1U);
}

TEST_F(SessionsRetryTest, AnotherBodyUnderTheSameNameIsRefused) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  v1::GenerateRequest request = TurnOn(id, "Once", 4);
  request.set_request_id("first");
  ASSERT_FALSE(RunTurn(*client_, request).error);
  request.set_max_tokens(5);
  EXPECT_EQ(RunTurn(*client_, request).code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(Get(id).revision(), 1U);
}

TEST_F(SessionsRetryTest, ARetryTakesOverARunningStream) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  v1::GenerateRequest request = TurnOn(id, "Once", 400);
  request.set_request_id("long");
  client::Generation lost = client_->Generate(request, {});
  ASSERT_TRUE(lost.Next().has_value());
  const Turn taken = RunTurn(*client_, request);
  ASSERT_FALSE(taken.error) << taken.Describe();
  EXPECT_EQ(taken.only().finished.revision(), 1U);
  EXPECT_EQ(Get(id).revision(), 1U);
}

TEST_F(SessionsRetryTest, ATurnThatWasLeftIsAnsweredAgainAsFarAsItWasKept) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  v1::GenerateRequest request = TurnOn(id, "Once upon a time", 60000);
  request.set_request_id("left");
  request.set_commit(v1::COMMIT_PARTIAL);
  {
    client::Generation left = client_->Generate(request, {});
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(left.Next().has_value());
  }
  ASSERT_TRUE(Eventually([&] { return !Get(id).running() && Get(id).revision() == 1; }));
  const auto kept = Get(id).position() - static_cast<int64_t>(Tokenize(request.text()).size());
  const Turn again = RunTurn(*client_, request);
  ASSERT_FALSE(again.error) << again.Describe();
  EXPECT_TRUE(again.started.replayed());
  EXPECT_EQ(again.only().finished.finish_reason(), v1::FINISH_REASON_PARTIAL);
  const Turn truth = RunTurn(*client_, GreedyRequest(request.text(), static_cast<int>(kept)));
  EXPECT_EQ(again.only().ids, truth.only().ids);
  EXPECT_EQ(again.only().text, truth.only().text);
  EXPECT_EQ(Get(id).revision(), 1U);
}

TEST_F(SessionsRetryTest, ARetryWhoseAnswerIsNoLongerKeptIsNotAppliedAgainAfterACrashEither) {
  const TempDir dir;
  const std::vector<std::string> flags = {"--state-dir", dir.File("state"),
                                          "--max-session-result-bytes", "0"};
  ASSERT_NO_FATAL_FAILURE(Start(flags));
  const std::string id = Create();
  v1::GenerateRequest request = TurnOn(id, "Once upon a time", 8);
  for (const char* name : {"first", "second"}) {
    request.set_request_id(name);
    ASSERT_FALSE(RunTurn(*client_, request).error) << name;
  }
  request.set_request_id("first");
  for (const bool restarted : {false, true}) {
    if (restarted) {
      daemon_->process().Signal(SIGKILL);
      ASSERT_TRUE(daemon_->process().Wait(std::chrono::seconds(20)).has_value());
      ASSERT_NO_FATAL_FAILURE(Start(flags));
    }
    const Turn again = RunTurn(*client_, request);
    ASSERT_TRUE(again.error.has_value()) << again.Describe();
    EXPECT_EQ(again.error->code, grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(again.error->reason, "ANSWER_NOT_KEPT");
    EXPECT_EQ(Get(id).revision(), 2U);
  }
}

TEST_F(SessionsRetryTest, ARetryIsKnownAfterACrash) {
  const TempDir dir;
  const std::vector<std::string> flags = {"--state-dir", dir.File("state")};
  ASSERT_NO_FATAL_FAILURE(Start(flags));
  const std::string id = Create();
  v1::GenerateRequest request = TurnOn(id, "Once upon a time", 8);
  request.set_request_id("first");
  const Turn first = RunTurn(*client_, request);
  ASSERT_FALSE(first.error) << first.Describe();
  daemon_->process().Signal(SIGKILL);
  ASSERT_TRUE(daemon_->process().Wait(std::chrono::seconds(20)).has_value());
  ASSERT_NO_FATAL_FAILURE(Start(flags));
  const Turn again = RunTurn(*client_, request);
  ASSERT_FALSE(again.error) << again.Describe();
  EXPECT_TRUE(again.started.replayed());
  EXPECT_EQ(again.only().text, first.only().text);
  EXPECT_EQ(Get(id).revision(), 1U);
}

}  // namespace
}  // namespace ssmd::test
