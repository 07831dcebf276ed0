// What the tests of this folder share: a daemon with a state directory that can be killed and
// started again, and an oracle beside it that keeps nothing.
#ifndef SSMD_TESTS_FAULT_STATE_DIR_FIXTURE_H_
#define SSMD_TESTS_FAULT_STATE_DIR_FIXTURE_H_

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/daemon.h"
#include "tests/support/eventually.h"

namespace ssmd::test {

class StateDirFixture : public ::testing::Test {
 protected:
  // For what takes a moment, on a machine that may be very busy.
  static constexpr std::chrono::minutes kPatience{2};

  void StartOracle() {
    oracle_daemon_ = Daemon::Start({"--prefix-cache-bytes", "0"});
    ASSERT_NE(oracle_daemon_, nullptr);
    oracle_ = oracle_daemon_->Connect();
  }
  void Start(const std::vector<std::string>& more = {}) {
    daemon_ = Daemon::Start(Flags(more));
    ASSERT_NE(daemon_, nullptr);
    client_ = daemon_->Connect();
  }
  void Kill() { KillProcess(&daemon_->process()); }
  // A start that is killed when it has taken the folder, and a little later: while it reads it.
  void StartAndKill(const std::vector<std::string>& more, std::chrono::microseconds later) {
    const auto process = StartDaemon(Arguments(more));
    const std::string holder = std::to_string(process->pid()) + "\n";
    EXPECT_TRUE(Eventually([&] { return ReadFile(folder() + "/LOCK") == holder; }, kPatience));
    std::this_thread::sleep_for(later);  // the moment, not a wait for something
    KillProcess(process.get());
  }
  // Stores every state.
  void End() { ASSERT_EQ(daemon_->Stop(), std::optional<int>(0)) << daemon_->log(); }
  // Of a daemon on the same folder, which must not come up.
  Finished RunRefused() const { return RunDaemon(Arguments({})); }
  std::string folder() const { return dir_.File("state"); }

  const TempDir dir_;
  std::unique_ptr<Daemon> oracle_daemon_;
  std::shared_ptr<client::Client> oracle_;
  std::unique_ptr<Daemon> daemon_;
  std::shared_ptr<client::Client> client_;

 private:
  std::vector<std::string> Flags(const std::vector<std::string>& more) const {
    std::vector<std::string> flags = {"--state-dir", folder()};
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  }
  std::vector<std::string> Arguments(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"--model",     "tales=" + TalesModel(), "--grpc-listen",
                                          "127.0.0.1:0", "--http-listen",         "127.0.0.1:0"};
    const std::vector<std::string> flags = Flags(more);
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return arguments;
  }
  static void KillProcess(Process* process) {
    process->Signal(SIGKILL);
    ASSERT_TRUE(process->Wait(kPatience).has_value());
  }
};

}  // namespace ssmd::test

#endif  // SSMD_TESTS_FAULT_STATE_DIR_FIXTURE_H_
