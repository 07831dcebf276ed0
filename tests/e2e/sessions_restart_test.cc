// Sessions in a state directory: what was acknowledged is there after a restart, clean or not.
#include <gmock/gmock.h>

#include <csignal>

#include "tests/e2e/session_fixture.h"

namespace ssmd::test {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

class SessionsRestartTest : public SessionFixture {
 protected:
  std::vector<std::string> Flags() const { return {"--state-dir", dir_.File("state")}; }
  void Kill() {
    daemon_->process().Signal(SIGKILL);
    ASSERT_TRUE(daemon_->process().Wait(std::chrono::seconds(20)).has_value());
  }
  // The daemon must be gone before the next one may have its folder.
  void End() { ASSERT_EQ(daemon_->Stop(), std::optional<int>(0)) << daemon_->log(); }

  const TempDir dir_;
};

TEST_F(SessionsRestartTest, AfterACleanEndNothingIsReadAgain) {
  ASSERT_NO_FATAL_FAILURE(Start(Flags()));
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once upon a time", 9, &history);
  const v1::Session before = Get(id);
  ASSERT_NO_FATAL_FAILURE(End());
  ASSERT_NO_FATAL_FAILURE(Start(Flags()));
  EXPECT_EQ(Get(id).revision(), before.revision());
  EXPECT_EQ(Get(id).history_hash(), before.history_hash());
  EXPECT_EQ(Get(id).tier(), v1::STATE_TIER_DISK);
  const Turn turn = SayAndCheck(id, " and the dog", 9, &history);
  EXPECT_EQ(turn.final.state_source(), v1::STATE_SOURCE_DISK);
  EXPECT_EQ(turn.final.usage().recomputed_tokens(), 0);
}

TEST_F(SessionsRestartTest, AfterACrashEveryCommitIsThere) {
  ASSERT_NO_FATAL_FAILURE(Start(Flags()));
  std::vector<std::string> ids;
  std::vector<std::vector<int32_t>> histories(4);
  for (auto& history : histories) {
    ids.push_back(Create());
    SayAndCheck(ids.back(), "Once upon a time", 5, &history);
  }
  SayAndCheck(ids[1], " a cat", 5, &histories[1]);
  EXPECT_FALSE(client_->DeleteSession(ids[3]).has_value());
  ASSERT_NO_FATAL_FAILURE(Kill());
  ASSERT_NO_FATAL_FAILURE(Start(Flags()));
  EXPECT_FALSE(Exists(ids[3]));
  for (size_t i = 0; i < 3; ++i) {
    const Turn turn = SayAndCheck(ids[i], " and then", 6, &histories[i]);
    EXPECT_THAT(turn.final.state_source(), AnyOf(v1::STATE_SOURCE_REPLAYED, v1::STATE_SOURCE_DISK));
  }
}

TEST_F(SessionsRestartTest, WhatARestartReadsAgainIsBounded) {
  constexpr int64_t kReplayMax = 24;
  std::vector<std::string> flags = Flags();
  flags.insert(flags.end(),
               {"--max-replay-tokens", std::to_string(kReplayMax), "--store-after", "3600"});
  ASSERT_NO_FATAL_FAILURE(Start(flags));
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once upon a time", 2 * kReplayMax, &history);
  // Its record, too: those of the creation and the commit are there already.
  ASSERT_TRUE(Eventually([&] { return client_->GetStats().value().state_dir().log_records() == 3; },
                         std::chrono::minutes(2)));
  const auto stored = static_cast<int64_t>(history.size()) - 1;
  SayAndCheck(id, " and", 4, &history);
  ASSERT_NO_FATAL_FAILURE(Kill());
  ASSERT_NO_FATAL_FAILURE(Start(flags));
  EXPECT_EQ(Get(id).state_position(), stored);
  const auto consumed = static_cast<int64_t>(history.size()) - 1;
  const Turn turn = SayAndCheck(id, " and then", 6, &history);
  EXPECT_EQ(turn.final.state_source(), v1::STATE_SOURCE_REPLAYED);
  EXPECT_EQ(turn.final.usage().recomputed_tokens(), consumed - stored);
}

TEST_F(SessionsRestartTest, ATurnThatWasCutOffByACrashNeverHappened) {
  ASSERT_NO_FATAL_FAILURE(Start(Flags()));
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once upon a time", 5, &history);
  {
    client::Generation running = client_->Generate(TurnOn(id, " more", 60000), {});
    ASSERT_TRUE(running.Next().has_value());
    ASSERT_NO_FATAL_FAILURE(Kill());
  }
  ASSERT_NO_FATAL_FAILURE(Start(Flags()));
  EXPECT_EQ(Get(id).revision(), 1U);
  SayAndCheck(id, " and then", 6, &history);
}

TEST_F(SessionsRestartTest, ForksAndCheckpointsSurvive) {
  ASSERT_NO_FATAL_FAILURE(Start(Flags()));
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once upon a time", 5, &history);
  v1::CheckpointSessionRequest checkpoint;
  checkpoint.set_session_id(id);
  checkpoint.set_name("early");
  ASSERT_TRUE(client_->CheckpointSession(checkpoint).ok());
  v1::ForkSessionRequest fork;
  fork.set_session_id(id);
  const std::string child = client_->ForkSession(fork).value().at(0).session_id();
  std::vector<int32_t> later = history;
  SayAndCheck(id, " later", 4, &later);
  ASSERT_NO_FATAL_FAILURE(Kill());
  ASSERT_NO_FATAL_FAILURE(Start(Flags()));
  std::vector<int32_t> of_child = history;
  SayAndCheck(child, " the child", 4, &of_child);
  v1::RewindSessionRequest rewind;
  rewind.set_session_id(id);
  rewind.set_checkpoint("early");
  rewind.set_allow_recompute(true);
  ASSERT_TRUE(client_->RewindSession(rewind).ok());
  SayAndCheck(id, " again", 4, &history);
}

TEST_F(SessionsRestartTest, TwoDaemonsDoNotShareAFolder) {
  ASSERT_NO_FATAL_FAILURE(Start(Flags()));
  const Finished second =
      RunDaemon({"--model", "tales=" + TalesModel(), "--grpc-listen", "127.0.0.1:0",
                 "--http-listen", "127.0.0.1:0", "--state-dir", dir_.File("state")});
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.errors, HasSubstr(dir_.File("state")));
}

TEST_F(SessionsRestartTest, StatsShowTheDirectory) {
  ASSERT_NO_FATAL_FAILURE(Start(Flags()));
  std::vector<int32_t> history;
  SayAndCheck(Create(), "Once", 4, &history);
  const auto stats = client_->GetStats();
  ASSERT_TRUE(stats.ok());
  EXPECT_GT(stats.value().state_dir().log_bytes(), 0);
  EXPECT_GE(stats.value().state_dir().log_records(), 2);
  EXPECT_THAT(HttpGet(daemon_->http(), "/metrics").body, HasSubstr("ssmd_commit_log_bytes"));
}

}  // namespace
}  // namespace ssmd::test
