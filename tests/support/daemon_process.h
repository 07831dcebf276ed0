// A real ssmd as a child process on free ports of the loopback interface, for tests (daemon.h) and
// benchmarks: nothing here knows either of them.
//
// Not thread-safe: one thread starts a daemon and stops it. It does not outlive that thread.
#ifndef SSMD_TESTS_SUPPORT_DAEMON_PROCESS_H_
#define SSMD_TESTS_SUPPORT_DAEMON_PROCESS_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/support/process.h"

namespace ssmd::test {

class DaemonProcess {
 public:
  // Waits until it serves. `flags`: beside the listeners and the ready file. The error holds what
  // it wrote to standard error.
  static absl::StatusOr<std::unique_ptr<DaemonProcess>> Start(const std::string& binary,
                                                              const std::vector<std::string>& flags,
                                                              const Process::Options& options = {});

  const std::string& grpc() const { return grpc_; }  // "127.0.0.1:NNN"
  const std::string& http() const { return http_; }
  Process& process() { return *process_; }

  // SIGTERM, then the exit status; nothing when it still runs after `timeout`.
  std::optional<int> Stop(std::chrono::milliseconds timeout = std::chrono::seconds(60));

 private:
  DaemonProcess() = default;
  bool ReadReadyFile();

  TempDir dir_;
  std::unique_ptr<Process> process_;  // killed, where it still runs, at the end
  std::string grpc_;
  std::string http_;
};

}  // namespace ssmd::test

#endif  // SSMD_TESTS_SUPPORT_DAEMON_PROCESS_H_
