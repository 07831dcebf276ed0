#include "tests/support/daemon.h"

#include <gtest/gtest.h>

#include <utility>

namespace ssmd::test {

std::unique_ptr<Daemon> Daemon::Start(const DaemonOptions& options) {
  std::vector<std::string> arguments = {
      "--model", options.model.empty() ? "tales=" + TalesModel() : options.model};
  arguments.insert(arguments.end(), options.flags.begin(), options.flags.end());
  Process::Options process;
  process.environment = options.environment;
  auto daemon = DaemonProcess::Start(options.binary.empty() ? SSMD_BINARY : options.binary,
                                     arguments, process);
  if (daemon.ok()) return std::unique_ptr<Daemon>(new Daemon(*std::move(daemon)));
  ADD_FAILURE() << daemon.status().message();
  return nullptr;
}

Daemon::~Daemon() {
  if (process().Poll().has_value()) return;
  EXPECT_EQ(Stop(), std::optional<int>(0)) << log();
}

std::shared_ptr<client::Client> Daemon::Connect(client::ConnectOptions options) const {
  options.server = grpc();
  auto client = client::Client::Create(options);
  if (client.ok()) return client.value();
  ADD_FAILURE() << client::ToString(client.error());
  return nullptr;
}

std::unique_ptr<Process> StartDaemon(const std::vector<std::string>& arguments) {
  std::vector<std::string> all = {SSMD_BINARY};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return Process::Start(all);
}

Finished RunDaemon(const std::vector<std::string>& arguments) {
  std::vector<std::string> all = {SSMD_BINARY};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return RunProgram(all);
}

std::string SsmctlBinary() { return SSMCTL_BINARY; }

Finished RunSsmctl(const std::string& server, const std::vector<std::string>& arguments,
                   const Process::Options& options) {
  std::vector<std::string> all = {SSMCTL_BINARY, "--server", server};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return RunProgram(all, options);
}

std::unique_ptr<Process> StartSsmctl(const std::string& server,
                                     const std::vector<std::string>& arguments,
                                     const Process::Options& options) {
  std::vector<std::string> all = {SSMCTL_BINARY, "--server", server};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return Process::Start(all, options);
}

std::string TalesModel() { return SSMD_TALES_MODEL; }

}  // namespace ssmd::test
