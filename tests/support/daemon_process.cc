#include "tests/support/daemon_process.h"

#include <rapidjson/document.h>

#include <csignal>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "tests/support/eventually.h"

namespace ssmd::test {
namespace {

// Sanitized builds on a busy machine load slowly.
constexpr std::chrono::seconds kStartTimeout(90);

}  // namespace

absl::StatusOr<std::unique_ptr<DaemonProcess>> DaemonProcess::Start(
    const std::string& binary, const std::vector<std::string>& flags,
    const Process::Options& options) {
  std::unique_ptr<DaemonProcess> daemon(new DaemonProcess());
  std::vector<std::string> arguments = {
      binary,         "--grpc-listen",           "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
      "--ready-file", daemon->dir_.File("ready")};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  daemon->process_ = Process::Start(arguments, options);
  const bool settled =
      Eventually([&] { return daemon->ReadReadyFile() || daemon->process_->Poll().has_value(); },
                 kStartTimeout);
  if (settled && !daemon->grpc_.empty()) return daemon;
  return absl::UnavailableError(absl::StrFormat("ssmd did not come up (exit status %d):\n%s",
                                                daemon->process_->Poll().value_or(-1),
                                                daemon->process_->errors()));
}

bool DaemonProcess::ReadReadyFile() {
  rapidjson::Document document;
  const std::string text = ReadFile(dir_.File("ready"));
  if (text.empty() || document.Parse(text.c_str()).HasParseError() || !document.IsObject()) {
    return false;
  }
  if (document["pid"].GetInt() != process_->pid()) return false;
  grpc_ = document["grpc"].GetString();
  http_ = document["http"].GetString();
  return true;
}

std::optional<int> DaemonProcess::Stop(std::chrono::milliseconds timeout) {
  process_->Signal(SIGTERM);
  return process_->Wait(timeout);
}

}  // namespace ssmd::test
