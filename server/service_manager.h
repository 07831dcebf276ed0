// Tells systemd, or whatever else started the daemon and speaks sd_notify(3), how it fares: a
// datagram of lines NAME=VALUE to the Unix socket that $NOTIFY_SOCKET names. Without one nothing is
// sent, and nothing else changes.
//
// One thread. A message waits for room in the manager's queue for up to a second, so that a manager
// that does not read costs a start a second and the watchdog a beat, and no caller an answer.
#ifndef SSMD_SERVER_SERVICE_MANAGER_H_
#define SSMD_SERVER_SERVICE_MANAGER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/clock.h"

namespace ssmd::server {

// What is shown of a status; the rest is cut off.
inline constexpr size_t kServiceStatusBytesMax = 512;

class ServiceManager {
 public:
  struct Config {
    std::string socket;                // a path, or an abstract name after @; empty: nobody listens
    std::optional<Duration> watchdog;  // the manager ends a daemon that is silent for so long
    std::chrono::milliseconds patience{1000};  // waited for room in the manager's queue
  };
  using Lookup = std::function<const char*(const char* name)>;  // getenv, or a test's
  // What the environment says to the process `pid`. INVALID_ARGUMENT names the variable.
  static absl::StatusOr<Config> ReadEnvironment(const Lookup& lookup, int64_t pid);

  // UNAVAILABLE when the socket is not to be reached. `clock` outlives it.
  static absl::StatusOr<std::unique_ptr<ServiceManager>> Connect(Config config, const Clock* clock);
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  // One line that people see: what it does now. Nothing is sent where it is what was said last.
  absl::Status Say(std::string_view status);
  // It serves.
  absl::Status Ready(std::string_view status);
  // It takes nothing new and will end.
  absl::Status Stopping(std::string_view status);
  // To be called often: sends a sign of life four times within the watchdog's time, but none while
  // `alive` says false.
  absl::Status Beat(const std::function<bool()>& alive);

 private:
  ServiceManager(int fd, std::optional<Duration> watchdog, const Clock* clock)
      : fd_(fd), watchdog_(watchdog), clock_(clock) {}
  absl::Status Send(std::string_view line, std::string_view status);

  const int fd_;  // -1: nobody listens
  const std::optional<Duration> watchdog_;
  const Clock* const clock_;
  std::string said_;
  std::optional<TimePoint> beat_at_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_SERVICE_MANAGER_H_
