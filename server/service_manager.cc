// See service_manager.h.
#include "server/service_manager.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace ssmd::server {
namespace {

constexpr char kSocketVariable[] = "NOTIFY_SOCKET";
constexpr char kWatchdogVariable[] = "WATCHDOG_USEC";
constexpr char kWatchdogPidVariable[] = "WATCHDOG_PID";
constexpr int kBeatsPerWatchdog = 4;

std::string Value(const ServiceManager::Lookup& lookup, const char* name) {
  const char* value = lookup(name);
  return value == nullptr ? "" : value;
}

absl::Status BadVariable(const char* name, const std::string& value, const char* wanted) {
  return absl::InvalidArgumentError(absl::StrCat(name, "=", value, " is not ", wanted,
                                                 ": the service manager hears nothing of ssmd"));
}

absl::StatusOr<std::optional<Duration>> ReadWatchdog(const ServiceManager::Lookup& lookup,
                                                     int64_t pid) {
  const std::string microseconds = Value(lookup, kWatchdogVariable);
  const std::string of = Value(lookup, kWatchdogPidVariable);
  // It may be meant for a parent of ours.
  if (microseconds.empty() || (!of.empty() && of != absl::StrCat(pid))) {
    return std::optional<Duration>();
  }
  int64_t count = 0;
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / 1000;  // as nanoseconds
  if (!absl::SimpleAtoi(microseconds, &count) || count <= 0 || count > kMost) {
    return BadVariable(kWatchdogVariable, microseconds, "a number of microseconds");
  }
  return std::optional<Duration>(std::chrono::microseconds(count));
}

// A line ends a value, so that none may have one.
std::string OneLine(std::string_view text) {
  std::string line(text.substr(0, kServiceStatusBytesMax));
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return absl::ascii_iscntrl(c); }, ' ');
  return line;
}

absl::Status SystemError(const std::string& what) {
  return absl::UnavailableError(absl::StrCat(what, ": ", std::strerror(errno)));
}

}  // namespace

absl::StatusOr<ServiceManager::Config> ServiceManager::ReadEnvironment(const Lookup& lookup,
                                                                       int64_t pid) {
  Config config;
  config.socket = Value(lookup, kSocketVariable);
  if (config.socket.empty()) return config;
  const bool named =
      config.socket.size() > 1 && (config.socket[0] == '/' || config.socket[0] == '@');
  if (!named || config.socket.size() >= sizeof(sockaddr_un::sun_path)) {
    return BadVariable(kSocketVariable, config.socket,
                       "a path or an abstract name of less than 108 characters");
  }
  SSMD_ASSIGN_OR_RETURN(config.watchdog, ReadWatchdog(lookup, pid));
  return config;
}

absl::StatusOr<std::unique_ptr<ServiceManager>> ServiceManager::Connect(Config config,
                                                                        const Clock* clock) {
  if (config.socket.empty()) {
    return std::unique_ptr<ServiceManager>(new ServiceManager(-1, std::nullopt, clock));
  }
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return SystemError("no socket to the service manager");
  std::unique_ptr<ServiceManager> manager(new ServiceManager(fd, config.watchdog, clock));
  const timeval patience{config.patience.count() / 1000, config.patience.count() % 1000 * 1000};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, config.socket.data(), config.socket.size());
  // An abstract name begins with a zero and has no other at its end.
  const bool is_abstract = config.socket[0] == '@';
  if (is_abstract) address.sun_path[0] = '\0';
  const size_t length =
      offsetof(sockaddr_un, sun_path) + config.socket.size() + (is_abstract ? 0 : 1);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(length)) !=
      0) {
    return SystemError(absl::StrCat(kSocketVariable, "=", config.socket));
  }
  return manager;
}

ServiceManager::~ServiceManager() {
  if (fd_ >= 0) close(fd_);
}

absl::Status ServiceManager::Send(std::string_view line, std::string_view status) {
  if (fd_ < 0) return absl::OkStatus();
  std::string message(line);
  std::string shown = OneLine(status);
  if (!shown.empty()) absl::StrAppend(&message, "STATUS=", shown, "\n");
  if (send(fd_, message.data(), message.size(), MSG_NOSIGNAL) < 0) {
    return SystemError("the service manager was not told");
  }
  if (!shown.empty()) said_ = std::move(shown);
  return absl::OkStatus();
}

absl::Status ServiceManager::Say(std::string_view status) {
  return OneLine(status) == said_ ? absl::OkStatus() : Send("", status);
}

absl::Status ServiceManager::Ready(std::string_view status) { return Send("READY=1\n", status); }

absl::Status ServiceManager::Stopping(std::string_view status) {
  return Send("STOPPING=1\n", status);
}

absl::Status ServiceManager::Beat(const std::function<bool()>& alive) {
  if (!watchdog_.has_value()) return absl::OkStatus();
  const TimePoint now = clock_->Now();
  if (beat_at_.has_value() && now - *beat_at_ < *watchdog_ / kBeatsPerWatchdog) {
    return absl::OkStatus();
  }
  if (!alive()) return absl::OkStatus();
  beat_at_ = now;
  return Send("WATCHDOG=1\n", "");
}

}  // namespace ssmd::server
