// Who keeps house, how often errors are said, and what happens at the end.
#include "server/housekeeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <sstream>

#include "server/blocking_pool.h"
#include "tests/unit/server/test_daemon.h"

namespace ssmd::server {
namespace {

using ::testing::HasSubstr;

class HousekeeperTest : public ::testing::Test {
 protected:
  HousekeeperTest()
      : log_(LogLevel::kInfo, LogFormat::kText,
             std::make_shared<spdlog::sinks::ostream_sink_mt>(text_)) {}
  int Reports(const char* event = "maintenance_failed") const {
    int count = 0;
    const std::string text = text_.str();
    for (size_t at = 0; (at = text.find(event, at)) != std::string::npos; ++at) {
      ++count;
    }
    return count;
  }

  std::ostringstream text_;
  Log log_;
  FakeEngine engine_;
  FakeClock clock_;
};

TEST_F(HousekeeperTest, KeepsHouseAgainAndAgain) {
  Housekeeper keeper(&engine_, &log_, std::chrono::milliseconds(1), &clock_);
  engine_.WaitForMaintenance(3);
  keeper.Stop();
  EXPECT_EQ(Reports(), 0);
}

TEST_F(HousekeeperTest, SaysAnErrorThatStaysOnceAMinute) {
  engine_.SetMaintenance(absl::ResourceExhaustedError("the disk is full"));
  {
    Housekeeper keeper(&engine_, &log_, std::chrono::milliseconds(1), &clock_);
    engine_.WaitForMaintenance(10);
  }
  EXPECT_EQ(Reports(), 1);
  EXPECT_THAT(text_.str(), HasSubstr("the disk is full"));
}

TEST_F(HousekeeperTest, SaysItAgainAfterAMinute) {
  engine_.SetMaintenance(absl::ResourceExhaustedError("the disk is full"));
  Housekeeper keeper(&engine_, &log_, std::chrono::milliseconds(1), &clock_);
  engine_.WaitForMaintenance(2);  // the first was reported before the second began
  clock_.Advance(std::chrono::seconds(61));
  engine_.WaitForMaintenance(engine_.maintained() + 2);
  keeper.Stop();
  EXPECT_EQ(Reports(), 2);
}

TEST_F(HousekeeperTest, SaysOnceThatTheSharedStoreWentAndOnceThatItIsBack) {
  engine_.SetStoreTrouble("wrong password");
  {
    Housekeeper keeper(&engine_, &log_, std::chrono::milliseconds(1), &clock_);
    engine_.WaitForMaintenance(4);
    engine_.SetStoreTrouble("");
    engine_.WaitForMaintenance(engine_.maintained() + 4);
  }
  EXPECT_EQ(Reports("shared_store_gone"), 1);
  EXPECT_EQ(Reports("shared_store_back"), 1);
  EXPECT_THAT(text_.str(), HasSubstr("wrong password"));
}

TEST_F(HousekeeperTest, SaysThatTheSharedStoreRefusesTheReplicaApart) {
  engine_.SetStoreTrouble("no answer");
  {
    Housekeeper keeper(&engine_, &log_, std::chrono::milliseconds(1), &clock_);
    engine_.WaitForMaintenance(4);
    engine_.SetStoreTrouble("another process is present", std::chrono::seconds(1));
    engine_.WaitForMaintenance(engine_.maintained() + 4);
  }
  EXPECT_EQ(Reports("shared_store_gone"), 1);
  EXPECT_EQ(Reports("replica_refused"), 1);
  EXPECT_EQ(Reports("shared_store_back"), 0);
  EXPECT_THAT(text_.str(), HasSubstr("another process is present"));
}

TEST(Daemon, StopStoresStatesWithinTheDrainTimeout) {
  Options options;
  options.server.drain_timeout = std::chrono::seconds(20);
  TestDaemon daemon(options);
  const TimePoint before = std::chrono::steady_clock::now();
  EXPECT_TRUE(daemon.daemon().Stop());
  const auto deadline = daemon.engine().store_all_deadline();
  ASSERT_TRUE(deadline.has_value());
  EXPECT_GE(*deadline, before + std::chrono::seconds(20));
  EXPECT_LE(*deadline, std::chrono::steady_clock::now() + std::chrono::seconds(20));
}

TEST(BlockingPool, RunsWorkBesideWorkThatWaitsAndEverythingBeforeItEnds) {
  std::atomic<int> done = 0;
  {
    Mutex mutex;
    CondVar changed;
    bool open = false;
    BlockingPool pool(2);
    pool.Post([&] {
      MutexLock lock(&mutex);
      while (!open) changed.Wait(&mutex);
      ++done;
    });
    pool.Post([&] {  // frees the first
      MutexLock lock(&mutex);
      open = true;
      changed.NotifyAll();
    });
    for (int i = 0; i < 100; ++i) pool.Post([&] { ++done; });
  }
  EXPECT_EQ(done, 101);
}

}  // namespace
}  // namespace ssmd::server
