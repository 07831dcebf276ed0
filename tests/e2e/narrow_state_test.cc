// States in 16 bits, over the wire: half the bytes, and the promises of sessions as ever. What is
// compared with the truth of session_fixture.h is right to the token, as rounding depends on
// nothing but positions.
#include <gmock/gmock.h>

#include <csignal>

#include "tests/e2e/session_fixture.h"

namespace ssmd::test {
namespace {

using ::testing::HasSubstr;

class NarrowState : public SessionFixture, public ::testing::WithParamInterface<const char*> {
 protected:
  void StartIn(const std::string& format) {
    Start({"--state-dir", dir_.File("state"), "--model-option", "tales.state=" + format});
  }
  std::string Fork(const std::string& id) {
    v1::ForkSessionRequest request;
    request.set_session_id(id);
    return client_->ForkSession(request).value().at(0).session_id();
  }
  v1::Model Model() { return client_->GetModel("tales").value(); }
  void End() { ASSERT_EQ(daemon_->Stop(), std::optional<int>(0)) << daemon_->log(); }

  const TempDir dir_;
};

TEST_P(NarrowState, SessionsForksAndRestartsAreExact) {
  ASSERT_NO_FATAL_FAILURE(StartIn(GetParam()));
  EXPECT_EQ(Model().state(), GetParam());
  EXPECT_THAT(Model().numerics_profile(), HasSubstr(std::string(";state=") + GetParam()));
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once upon a time", 20, &history);
  const std::string child = Fork(id);
  std::vector<int32_t> other = history;
  SayAndCheck(id, " and the dog", 9, &history);
  SayAndCheck(child, " but the cat", 9, &other);
  ASSERT_NO_FATAL_FAILURE(End());
  ASSERT_NO_FATAL_FAILURE(StartIn(GetParam()));
  const Turn turn = SayAndCheck(id, " and then", 9, &history);
  EXPECT_EQ(turn.final.state_source(), v1::STATE_SOURCE_DISK);
  EXPECT_EQ(turn.final.usage().recomputed_tokens(), 0);
  daemon_->process().Signal(SIGKILL);
  ASSERT_TRUE(daemon_->process().Wait(std::chrono::seconds(20)).has_value());
  ASSERT_NO_FATAL_FAILURE(StartIn(GetParam()));
  SayAndCheck(id, " at last", 9, &history);
  SayAndCheck(child, " at last", 9, &other);
}

TEST_P(NarrowState, TakesHalfTheBytesAndIsRefusedElsewhere) {
  ASSERT_NO_FATAL_FAILURE(StartIn("f32"));
  const int64_t wide = Model().state_bytes_per_session();
  const std::string snapshot = dir_.File("wide.ssm");
  const std::string id = Create();
  ASSERT_FALSE(Say(id, "Once upon a time", 5).error);
  ASSERT_EQ(RunSsmctl(daemon_->grpc(), {"sessions", "export", id, snapshot}).status, 0);
  ASSERT_NO_FATAL_FAILURE(End());

  ASSERT_NO_FATAL_FAILURE(StartIn(GetParam()));
  // The convolutions' rings stay as they are: 3 of 19 columns.
  EXPECT_LT(Model().state_bytes_per_session(), wide * 6 / 10);
  const Finished refused = RunSsmctl(daemon_->grpc(), {"sessions", "import", snapshot});
  EXPECT_NE(refused.status, 0);
  EXPECT_THAT(refused.errors, HasSubstr("state"));
  // The session itself goes on from its tokens, which are read again.
  const Turn turn = Say(id, " and then", 5);
  ASSERT_FALSE(turn.error) << turn.Describe();
  EXPECT_GT(turn.final.usage().recomputed_tokens(), 0);
}

INSTANTIATE_TEST_SUITE_P(Formats, NarrowState, ::testing::Values("bf16", "f16"));

}  // namespace
}  // namespace ssmd::test
