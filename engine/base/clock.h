// The time, as something a test can hold. Durations and deadlines are on the steady clock.
#ifndef SSMD_ENGINE_BASE_CLOCK_H_
#define SSMD_ENGINE_BASE_CLOCK_H_

#include <atomic>
#include <chrono>
#include <cstdint>

namespace ssmd {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

inline double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// What people call the time: when sessions were made, used and end.
inline int64_t UnixMillis() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() const = 0;
};

class SteadyClock final : public Clock {
 public:
  TimePoint Now() const override { return std::chrono::steady_clock::now(); }
};

// Moves only when told to.
class FakeClock final : public Clock {
 public:
  TimePoint Now() const override { return TimePoint(Duration(ticks_.load())); }
  void Advance(Duration duration) { ticks_.fetch_add(duration.count()); }

 private:
  std::atomic<Duration::rep> ticks_{1};
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_BASE_CLOCK_H_
