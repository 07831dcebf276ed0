// A GPU that fails for good in the middle of an answer: everybody is told, the daemon ends, and the
// next one goes on from the last commits.
#include <gmock/gmock.h>

#include "tests/e2e/emulated/emulated_fixture.h"

namespace ssmd::test {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr int kEndless = 60000;

class EmulatedFailureTest : public EmulatedFixture {
 protected:
  std::vector<std::string> Flags() const {
    return {"--state-dir", dir_.File("state"), "--state-slots", "3", "--prefix-cache-bytes", "0"};
  }

  const TempDir dir_;
};

TEST_F(EmulatedFailureTest, EndsTheDaemonAndNoSession) {
  constexpr int kSessions = 4;  // some of whose states are in slots, others in host memory
  std::vector<std::string> ids;
  std::vector<std::vector<int32_t>> histories(kSessions);
  ASSERT_NO_FATAL_FAILURE(
      StartEmulated(Flags(), {{"SSMD_SIMT_FAIL_LAUNCH", "2500:an illegal address"}}));
  for (auto& history : histories) {
    ids.push_back(Create());
    const Turn turn = Say(ids.back(), "Once", 3);
    ASSERT_FALSE(turn.error) << turn.Describe();
    history = Tokenize("Once");
    Append(turn.only().ids, &history);
  }

  client::Generation first = client_->Generate(TurnOn(ids[0], " more", kEndless), {});
  const auto other = daemon_->Connect();
  client::Generation second = other->Generate(GreedyRequest("There", kEndless), {});
  const Turn cut = ReadTurn(&first);
  EXPECT_NE(HttpGet(daemon_->http(), "/readyz").status, 200);
  for (const Turn& turn : {cut, ReadTurn(&second)}) {
    ASSERT_EQ(turn.code(), grpc::StatusCode::UNAVAILABLE) << turn.Describe();
    EXPECT_EQ(turn.error->reason, "DEVICE_FAILED");
    EXPECT_FALSE(turn.choices.empty()) << "it was under way";
  }
  EXPECT_EQ(daemon_->process().Wait(std::chrono::seconds(30)), std::optional<int>(1));
  EXPECT_THAT(daemon_->log(), HasSubstr("device_failed"));
  EXPECT_THAT(daemon_->log(), HasSubstr("an illegal address"));

  ASSERT_NO_FATAL_FAILURE(StartEmulated(Flags()));
  for (int i = 0; i < kSessions; ++i) {
    const auto place = static_cast<size_t>(i);
    EXPECT_EQ(Get(ids[place]).revision(), 1U) << "nothing of the answer that was cut off";
    const Turn turn = SayAndCheck(ids[place], " and", 3, &histories[place]);
    EXPECT_THAT(turn.final.state_source(), AnyOf(v1::STATE_SOURCE_REPLAYED, v1::STATE_SOURCE_DISK));
  }
}

}  // namespace
}  // namespace ssmd::test
