// Two daemons with one replica's id: a state directory that was copied, and a restart after a
// crash, which looks the same until what was killed is forgotten.
#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>

#include "tests/e2e/session_fixture.h"
#include "tests/support/redis_process.h"

namespace ssmd::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class SessionsCopyTest : public SessionFixture {
 protected:
  void SetUp() override {
    if (!RedisProcess::Installed()) GTEST_SKIP() << RedisProcess::kNotInstalled;
    redis_ = RedisProcess::Start();
    ASSERT_NE(redis_, nullptr);
  }
  // A daemon gives its sessions up at its end, to a store that has to be there.
  void TearDown() override { daemon_.reset(); }
  std::vector<std::string> Flags(const std::string& folder) const {
    return {"--state-dir", dir_.File(folder), "--shared-store", redis_->url(), "--replica-presence",
            "1",           "--durability",    "replicated"};
  }
  static bool BecomesReady(const Daemon& daemon, bool ready) {
    return Eventually([&] { return (HttpGet(daemon.http(), "/readyz").status == 200) == ready; });
  }

  const TempDir dir_;
  std::unique_ptr<RedisProcess> redis_;
};

TEST_F(SessionsCopyTest, ACopyIsRefusedUntilTheFirstHasStopped) {
  ASSERT_NO_FATAL_FAILURE(Start(Flags("state")));
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once upon a time", 5, &history);
  std::filesystem::copy(dir_.File("state"), dir_.File("copy"),
                        std::filesystem::copy_options::recursive);
  const auto copy = Daemon::Start(Flags("copy"));
  ASSERT_NE(copy, nullptr);
  EXPECT_TRUE(BecomesReady(*copy, false));
  const auto at_copy = copy->Connect();
  const Turn refused = RunTurn(*at_copy, TurnOn(id, " a cat", 5));
  ASSERT_TRUE(refused.error.has_value()) << refused.Describe();
  EXPECT_EQ(refused.error->code, grpc::StatusCode::UNAVAILABLE) << refused.Describe();
  EXPECT_THAT(refused.Describe(), HasSubstr("another process is present as this replica"));
  EXPECT_FALSE(at_copy->CreateSession("").ok());
  SayAndCheck(id, " and the dog", 5, &history);
  EXPECT_TRUE(Eventually([&] { return copy->log().find("replica_refused") != std::string::npos; }));
  EXPECT_THAT(daemon_->log(), Not(HasSubstr("replica_refused")));
  EXPECT_TRUE(BecomesReady(*daemon_, true));

  ASSERT_EQ(daemon_->Stop(), std::optional<int>(0)) << daemon_->log();
  EXPECT_TRUE(BecomesReady(*copy, true));
  client_ = at_copy;
  SayAndCheck(id, " and then", 5, &history);
  EXPECT_TRUE(at_copy->CreateSession("").ok());
}

TEST_F(SessionsCopyTest, AfterACrashTheNextTurnWaitsAndGoesOn) {
  std::vector<std::string> flags = Flags("state");
  flags[5] = "3";  // the default
  ASSERT_NO_FATAL_FAILURE(Start(flags));
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once upon a time", 5, &history);
  daemon_->process().Signal(SIGKILL);
  ASSERT_TRUE(daemon_->process().Wait(std::chrono::seconds(20)).has_value());
  ASSERT_NO_FATAL_FAILURE(Start(flags));
  SayAndCheck(id, " and then", 5, &history);
  EXPECT_EQ(Get(id).revision(), 2U);
}

}  // namespace
}  // namespace ssmd::test
