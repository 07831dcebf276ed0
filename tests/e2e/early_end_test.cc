// Turns that end before their time, and readers that are slow: who is gone costs nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <stop_token>
#include <thread>

#include "tests/support/daemon.h"
#include "tests/support/eventually.h"
#include "tests/support/turn.h"

namespace ssmd::test {
namespace {

// More than anyone waits for.
constexpr int kEndless = 60000;

class EarlyEndTest : public ::testing::Test {
 protected:
  void Start(const std::vector<std::string>& flags) {
    daemon_ = Daemon::Start(flags);
    ASSERT_NE(daemon_, nullptr);
    client_ = daemon_->Connect();
  }
  bool WaitFor(int running, int slots_used) {
    return Eventually([&] {
      const v1::ModelStats stats = StatsOf(*client_);
      return stats.running() == running && stats.slots_used() == slots_used;
    });
  }
  // The last turn that ended early did so for `reason` and freed its slots within two steps.
  void ExpectFreedWithinTwoSteps(const std::string& reason) {
    ASSERT_TRUE(WaitFor(0, 0)) << "the slots were not freed";
    const v1::ModelStats stats = StatsOf(*client_);
    ASSERT_GE(stats.early_ends_size(), 1);
    const v1::EarlyEnd& last = stats.early_ends(stats.early_ends_size() - 1);
    EXPECT_EQ(last.reason(), reason);
    EXPECT_GE(last.freed_step(), last.noticed_step());
    EXPECT_LE(last.freed_step() - last.noticed_step(), 2u);
  }

  std::unique_ptr<Daemon> daemon_;
  std::shared_ptr<client::Client> client_;
};

TEST_F(EarlyEndTest, ACancelledCallFreesItsSlot) {
  ASSERT_NO_FATAL_FAILURE(Start({}));
  std::stop_source cancel;
  int deltas = 0;
  client::CallOptions options;
  options.cancel = cancel.get_token();
  const auto error = client_->Generate(GreedyRequest("Once", kEndless), options,
                                       [&](const v1::GenerateResponse& event) {
                                         if (event.has_delta() && ++deltas == 5)
                                           cancel.request_stop();
                                       });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, grpc::StatusCode::CANCELLED);
  ExpectFreedWithinTwoSteps("CANCELLED");
}

TEST_F(EarlyEndTest, AnExpiredDeadlineFreesItsSlot) {
  ASSERT_NO_FATAL_FAILURE(Start({}));
  v1::ModelStats stats;
  // On a slow machine the deadline may pass before the turn has a slot: then it gets more time.
  for (const int timeout_ms : {400, 2000, 10'000}) {
    const Turn turn = RunTurn(*client_, GreedyRequest("Once", kEndless),
                              {.timeout = std::chrono::milliseconds(timeout_ms), .cancel = {}});
    EXPECT_EQ(turn.code(), grpc::StatusCode::DEADLINE_EXCEEDED);
    ASSERT_TRUE(WaitFor(0, 0));
    stats = StatsOf(*client_);
    if (stats.early_ends_size() > 0) break;
  }
  ASSERT_EQ(stats.early_ends_size(), 1);
  // The client's deadline and the server's are the same moment: either may be noticed first.
  EXPECT_THAT(stats.early_ends(0).reason(), ::testing::AnyOf("DEADLINE_EXCEEDED", "CANCELLED"));
  EXPECT_LE(stats.early_ends(0).freed_step() - stats.early_ends(0).noticed_step(), 2u);
}

TEST_F(EarlyEndTest, AKilledClientFreesItsSlot) {
  ASSERT_NO_FATAL_FAILURE(Start({}));
  const auto process = StartSsmctl(daemon_->grpc(), {"generate", "--prompt", "Once", "--ignore-eos",
                                                     "--max-tokens", std::to_string(kEndless)});
  ASSERT_TRUE(Eventually([&] { return process->output().size() > 20; })) << process->errors();
  process->Signal(SIGKILL);
  EXPECT_EQ(process->Wait(std::chrono::seconds(10)), std::optional<int>(128 + SIGKILL));
  ExpectFreedWithinTwoSteps("CANCELLED");
}

TEST_F(EarlyEndTest, ACancelledTurnLeavesItsSessionAsItWas) {
  ASSERT_NO_FATAL_FAILURE(Start({}));
  const auto created = client_->CreateSession("");
  ASSERT_TRUE(created.ok());
  v1::GenerateRequest first = GreedyRequest("Once upon a time", 10);
  first.set_session_id(created.value().session_id());
  ASSERT_FALSE(RunTurn(*client_, first).error);
  const auto before = client_->GetSession(created.value().session_id());
  ASSERT_TRUE(before.ok());

  v1::GenerateRequest endless = GreedyRequest(" Then", kEndless);
  endless.set_session_id(created.value().session_id());
  {
    client::Generation generation = client_->Generate(endless, {});
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(generation.Next().has_value());
  }  // dropping it cancels
  ASSERT_TRUE(WaitFor(0, 1));
  const auto after = client_->GetSession(created.value().session_id());
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after.value().revision(), before.value().revision());
  EXPECT_EQ(after.value().position(), before.value().position());
  EXPECT_FALSE(after.value().running());

  // What follows is what would have followed without the cancelled turn.
  const auto other = client_->CreateSession("");
  ASSERT_TRUE(other.ok());
  first.set_session_id(other.value().session_id());
  ASSERT_FALSE(RunTurn(*client_, first).error);
  v1::GenerateRequest next = GreedyRequest(" And", 20);
  next.set_session_id(created.value().session_id());
  const Turn with = RunTurn(*client_, next);
  next.set_session_id(other.value().session_id());
  EXPECT_EQ(with.only().ids, RunTurn(*client_, next).only().ids);
}

TEST_F(EarlyEndTest, DeletingASessionEndsItsTurn) {
  ASSERT_NO_FATAL_FAILURE(Start({}));
  const auto created = client_->CreateSession("");
  ASSERT_TRUE(created.ok());
  v1::GenerateRequest endless = GreedyRequest("Then", kEndless);
  endless.set_session_id(created.value().session_id());
  client::Generation generation = client_->Generate(endless, {});
  ASSERT_TRUE(generation.Next().has_value());
  EXPECT_FALSE(client_->DeleteSession(created.value().session_id()).has_value());
  EXPECT_TRUE(generation.Finish().has_value());
  ASSERT_TRUE(WaitFor(0, 0));
  EXPECT_EQ(StatsOf(*client_).sessions(), 0);
}

TEST_F(EarlyEndTest, ACancelledCallThatStillWaitsLeavesTheQueue) {
  ASSERT_NO_FATAL_FAILURE(Start({"--state-slots", "2"}));
  client::Generation one = client_->Generate(GreedyRequest("One", kEndless), {});
  client::Generation two = client_->Generate(GreedyRequest("Two", kEndless), {});
  ASSERT_TRUE(one.Next() && two.Next());
  std::optional<client::Generation> waiting = client_->Generate(GreedyRequest("Three", 5), {});
  ASSERT_TRUE(Eventually([&] { return StatsOf(*client_).waiting() == 1; }));
  waiting.reset();
  EXPECT_TRUE(Eventually([&] { return StatsOf(*client_).waiting() == 0; }));
  EXPECT_EQ(StatsOf(*client_).running(), 2);
}

TEST_F(EarlyEndTest, AFullQueueIsRefusedAtOnceWithADelay) {
  ASSERT_NO_FATAL_FAILURE(Start({"--state-slots", "2", "--max-waiting", "1"}));
  // One after the other: until its first step a turn counts among those that wait.
  client::Generation one = client_->Generate(GreedyRequest("One", kEndless), {});
  ASSERT_TRUE(Eventually([&] { return StatsOf(*client_).running() == 1; }));
  client::Generation two = client_->Generate(GreedyRequest("Two", kEndless), {});
  ASSERT_TRUE(Eventually([&] { return StatsOf(*client_).running() == 2; }));
  client::Generation waiting = client_->Generate(GreedyRequest("Three", 5), {});
  ASSERT_TRUE(Eventually([&] { return StatsOf(*client_).waiting() == 1; }));
  const Turn refused = RunTurn(*client_, GreedyRequest("Four", 5));
  ASSERT_EQ(refused.code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << refused.Describe();
  EXPECT_EQ(refused.error->reason, "QUEUE_FULL");
  ASSERT_TRUE(refused.error->retry_after.has_value());
  EXPECT_GT(refused.error->retry_after->count(), 0);
}

// A client whose window is small and that has stopped reading.
class StoppedReader {
 public:
  explicit StoppedReader(const Daemon& daemon)
      : client_(daemon.Connect({.stream_window_bytes = 1024})),
        generation_(client_->Generate(GreedyRequest("Once", kEndless), {})) {
    EXPECT_TRUE(generation_.Next().has_value());
  }
  std::optional<client::Error> Finish() { return generation_.Finish(); }

 private:
  std::shared_ptr<client::Client> client_;
  client::Generation generation_;
};

TEST_F(EarlyEndTest, AReaderThatStopsReadingIsPausedAndDoesNotHoldUpOthers) {
  ASSERT_NO_FATAL_FAILURE(Start({"--slow-reader-timeout", "600"}));
  const std::vector<int32_t> alone = RunTurn(*client_, GreedyRequest("Lily", 300)).only().ids;
  StoppedReader reader(*daemon_);
  ASSERT_TRUE(
      Eventually([&] { return StatsOf(*client_).paused() == 1; }, std::chrono::seconds(120)));
  // Paused: it takes no steps of its own any more, and others have theirs.
  const uint64_t steps = StatsOf(*client_).steps();
  const Turn other = RunTurn(*client_, GreedyRequest("Lily", 300));
  ASSERT_FALSE(other.error) << other.Describe();
  EXPECT_EQ(other.only().ids, alone);
  EXPECT_EQ(StatsOf(*client_).paused(), 1);
  EXPECT_LE(StatsOf(*client_).steps() - steps, 320u);
}

TEST_F(EarlyEndTest, APausedTurnMakesRoomForOthersAndGoesOnExactly) {
  constexpr int kTokens = 3000;  // far more than the windows hold
  ASSERT_NO_FATAL_FAILURE(
      Start({"--state-slots", "2", "--prefix-cache-bytes", "0", "--slow-reader-timeout", "600"}));
  const std::vector<int32_t> alone = RunTurn(*client_, GreedyRequest("Once", kTokens)).only().ids;
  const auto slow = daemon_->Connect({.stream_window_bytes = 1024});
  client::Generation paused = slow->Generate(GreedyRequest("Once", kTokens), {});
  ASSERT_TRUE(
      Eventually([&] { return StatsOf(*client_).paused() == 1; }, std::chrono::seconds(120)));
  v1::GenerateRequest both = GreedyRequest("Lily", 20);
  both.set_n(2);
  const Turn other = RunTurn(*client_, both);  // needs both slots
  ASSERT_FALSE(other.error) << other.Describe();
  EXPECT_EQ(StatsOf(*client_).paused(), 1);
  std::vector<int32_t> ids;
  while (const auto event = paused.Next()) {
    ids.insert(ids.end(), event->delta().token_ids().begin(), event->delta().token_ids().end());
  }
  EXPECT_FALSE(paused.Finish().has_value());
  EXPECT_EQ(ids, alone);
}

TEST_F(EarlyEndTest, AReaderThatStaysAwayIsEnded) {
  ASSERT_NO_FATAL_FAILURE(Start({"--slow-reader-timeout", "0.5"}));
  StoppedReader reader(*daemon_);
  ASSERT_TRUE(Eventually([&] { return StatsOf(*client_).early_ends_size() == 1; },
                         std::chrono::seconds(120)));
  ASSERT_TRUE(WaitFor(0, 0));
  const auto error = reader.Finish();
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->reason, "SLOW_READER") << client::ToString(*error);
}

TEST_F(EarlyEndTest, TerminatingUnderLoadLosesNoAcceptedStream) {
  ASSERT_NO_FATAL_FAILURE(Start({"--drain-timeout", "600"}));
  constexpr int kStreams = 16;
  std::vector<Turn> turns(kStreams);
  std::vector<std::thread> threads;
  threads.reserve(kStreams);
  for (Turn& turn : turns) {
    threads.emplace_back([&] { turn = RunTurn(*client_, GreedyRequest("Once", 400)); });
  }
  ASSERT_TRUE(Eventually([&] { return StatsOf(*client_).running() == kStreams; }));
  daemon_->process().Signal(SIGTERM);
  EXPECT_TRUE(Eventually([&] { return HttpGet(daemon_->http(), "/readyz").status != 200; }));
  // New turns are refused while the accepted ones go on.
  const Turn late = RunTurn(*client_, GreedyRequest("Late", 1));
  EXPECT_EQ(late.code(), grpc::StatusCode::UNAVAILABLE) << late.Describe();
  for (std::thread& thread : threads) thread.join();
  for (const Turn& turn : turns) {
    EXPECT_FALSE(turn.error) << turn.Describe();
    EXPECT_EQ(turn.only().ids.size(), 400u);
  }
  EXPECT_EQ(daemon_->process().Wait(std::chrono::seconds(30)), std::optional<int>(0))
      << daemon_->log();
}

TEST_F(EarlyEndTest, WhatDoesNotFitTheDrainTimeIsEndedAndTheExitIsClean) {
  ASSERT_NO_FATAL_FAILURE(Start({"--drain-timeout", "0.3"}));
  client::Generation endless = client_->Generate(GreedyRequest("Once", kEndless), {});
  ASSERT_TRUE(endless.Next().has_value());
  daemon_->process().Signal(SIGTERM);
  const auto error = endless.Finish();
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, grpc::StatusCode::UNAVAILABLE) << client::ToString(*error);
  EXPECT_EQ(daemon_->process().Wait(std::chrono::seconds(30)), std::optional<int>(0))
      << daemon_->log();
}

TEST_F(EarlyEndTest, DrainRefusesNewTurnsAndKeepsTheProcess) {
  ASSERT_NO_FATAL_FAILURE(Start({}));
  client::Generation running = client_->Generate(GreedyRequest("Once", 2000), {});
  ASSERT_TRUE(running.Next().has_value());
  const auto remaining = client_->Drain();
  ASSERT_TRUE(remaining.ok()) << client::ToString(remaining.error());
  EXPECT_EQ(remaining.value(), 1);
  const Turn refused = RunTurn(*client_, GreedyRequest("Two", 1));
  ASSERT_EQ(refused.code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(refused.error->reason, "DRAINING");
  EXPECT_NE(HttpGet(daemon_->http(), "/readyz").status, 200);
  EXPECT_EQ(HttpGet(daemon_->http(), "/healthz").status, 200);
  EXPECT_FALSE(running.Finish().has_value());
  EXPECT_FALSE(daemon_->process().Poll().has_value());
}

}  // namespace
}  // namespace ssmd::test
