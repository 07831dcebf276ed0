// What the tests of this folder share: a daemon with a state directory that can be killed and
// started again, and an oracle beside it that keeps nothing.
#ifndef SSMD_TESTS_FAULT_STATE_DIR_FIXTURE_H_
#define SSMD_TESTS_FAULT_STATE_DIR_FIXTURE_H_

#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/daemon.h"

namespace ssmd::test {

class StateDirFixture : public ::testing::Test {
 protected:
  void StartOracle() {
    oracle_daemon_ = Daemon::Start({"--prefix-cache-bytes", "0"});
    ASSERT_NE(oracle_daemon_, nullptr);
    oracle_ = oracle_daemon_->Connect();
  }
  void Start(const std::vector<std::string>& more = {}) {
    std::vector<std::string> flags = {"--state-dir", folder()};
    flags.insert(flags.end(), more.begin(), more.end());
    daemon_ = Daemon::Start(flags);
    ASSERT_NE(daemon_, nullptr);
    client_ = daemon_->Connect();
  }
  void Kill() {
    daemon_->process().Signal(SIGKILL);
    ASSERT_TRUE(daemon_->process().Wait(std::chrono::seconds(20)).has_value());
  }
  // Stores every state.
  void End() { ASSERT_EQ(daemon_->Stop(), std::optional<int>(0)) << daemon_->log(); }
  // Of a daemon on the same folder, which must not come up.
  Finished RunRefused() const {
    return RunDaemon({"--model", "tales=" + TalesModel(), "--grpc-listen", "127.0.0.1:0",
                      "--http-listen", "127.0.0.1:0", "--state-dir", folder()});
  }
  std::string folder() const { return dir_.File("state"); }

  const TempDir dir_;
  std::unique_ptr<Daemon> oracle_daemon_;
  std::shared_ptr<client::Client> oracle_;
  std::unique_ptr<Daemon> daemon_;
  std::shared_ptr<client::Client> client_;
};

}  // namespace ssmd::test

#endif  // SSMD_TESTS_FAULT_STATE_DIR_FIXTURE_H_
