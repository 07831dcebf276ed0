// The daemon's log: one line an event on standard error, as `time level event key=value …` or as a
// JSON object. Values are escaped, so that nothing that a caller sent can forge a line or a field;
// what users wrote or models said is never given to it.
//
// Lines go through a bounded queue to a thread of their own: a full pipe never holds up a caller;
// the oldest lines are dropped then.
#ifndef SSMD_SERVER_TELEMETRY_LOG_H_
#define SSMD_SERVER_TELEMETRY_LOG_H_

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/base/clock.h"

namespace spdlog {
class logger;
namespace details {
class thread_pool;
}
namespace sinks {
class sink;
}
}  // namespace spdlog

namespace ssmd::server {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : uint8_t { kText, kJson };

// What makes a request a slow one, which is logged with where its time went. 0: nothing does.
struct SlowRequests {
  Duration total = std::chrono::seconds(60);
  Duration first_token = std::chrono::seconds(5);
};

struct LogField {
  std::string_view key;  // [a-z_]+
  std::variant<std::string_view, int64_t, double, bool> value;
};

// The line without its end. `time` is as it shall appear.
std::string FormatLogLine(LogFormat format, std::string_view time, LogLevel level,
                          std::string_view event, const std::vector<LogField>& fields);

// Thread-safe.
class Log {
 public:
  Log(LogLevel level, LogFormat format);
  // Writes to `sink` instead, on the caller's thread.
  Log(LogLevel level, LogFormat format, std::shared_ptr<spdlog::sinks::sink> sink);
  ~Log();  // writes what is queued

  bool enabled(LogLevel level) const { return level >= level_; }
  void Write(LogLevel level, std::string_view event, const std::vector<LogField>& fields);

 private:
  const LogLevel level_;
  const LogFormat format_;
  std::shared_ptr<spdlog::details::thread_pool> pool_;  // null: unqueued
  std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_TELEMETRY_LOG_H_
