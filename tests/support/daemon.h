// A real ssmd for a test: the built binary on free ports of the loopback interface.
//
// Owned by one test; the binary and the bundled model are named by compile definitions.
#ifndef SSMD_TESTS_SUPPORT_DAEMON_H_
#define SSMD_TESTS_SUPPORT_DAEMON_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "clients/cpp/client.h"
#include "tests/support/daemon_process.h"
#include "tests/support/http_get.h"
#include "tests/support/process.h"

namespace ssmd::test {

struct DaemonOptions {
  std::vector<std::string> flags;  // beside the listeners and the ready file
  std::string model;               // a --model value; empty: "tales=" and the bundled model
  std::string binary = {};         // empty: the built ssmd
  std::vector<std::pair<std::string, std::string>> environment = {};  // added to this process's
};

class Daemon {
 public:
  // Waits until it serves. When it does not, the test has failed with its output and null is
  // returned.
  static std::unique_ptr<Daemon> Start(const DaemonOptions& options = {});
  static std::unique_ptr<Daemon> Start(const std::vector<std::string>& flags) {
    return Start(DaemonOptions{flags, ""});
  }
  // Stops it with SIGTERM and expects a clean exit, unless that was done before.
  ~Daemon();

  const std::string& grpc() const { return daemon_->grpc(); }  // "127.0.0.1:NNN"
  const std::string& http() const { return daemon_->http(); }
  pid_t pid() const { return daemon_->process().pid(); }
  Process& process() { return daemon_->process(); }
  std::string log() const { return daemon_->process().errors(); }

  // A client on a connection of its own. `options.server` is filled in.
  std::shared_ptr<client::Client> Connect(client::ConnectOptions options = {}) const;

  // SIGTERM, then the exit status; nothing when it still runs after `timeout`.
  std::optional<int> Stop(std::chrono::milliseconds timeout = std::chrono::seconds(60)) {
    return daemon_->Stop(timeout);
  }

 private:
  explicit Daemon(std::unique_ptr<DaemonProcess> daemon) : daemon_(std::move(daemon)) {}

  const std::unique_ptr<DaemonProcess> daemon_;
};

// Starts ssmd and waits for nothing: for those that are killed on their way.
std::unique_ptr<Process> StartDaemon(const std::vector<std::string>& arguments);
// Runs ssmd to its end: for command lines and models that it must refuse.
Finished RunDaemon(const std::vector<std::string>& arguments);

std::string SsmctlBinary();
// Runs ssmctl against `server`.
Finished RunSsmctl(const std::string& server, const std::vector<std::string>& arguments,
                   const Process::Options& options = {});
std::unique_ptr<Process> StartSsmctl(const std::string& server,
                                     const std::vector<std::string>& arguments,
                                     const Process::Options& options = {});

// The folder of the bundled model.
std::string TalesModel();

}  // namespace ssmd::test

#endif  // SSMD_TESTS_SUPPORT_DAEMON_H_
