// Time as a load sees it: what the clock says, and what is to happen when. One thread runs it all.
// The real one is an event loop (event_loop.h); tests have one whose clock they turn.
#ifndef SSMD_CLIENTS_BENCH_TIMELINE_H_
#define SSMD_CLIENTS_BENCH_TIMELINE_H_

#include <chrono>
#include <functional>

namespace ssmd::bench {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

inline double MillisecondsOf(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}
inline double SecondsOf(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}
inline Duration DurationOf(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

class Timeline {
 public:
  virtual ~Timeline() = default;
  virtual TimePoint Now() const = 0;
  // Runs `action` once `time` has come, never before this returns.
  virtual void At(TimePoint time, std::function<void()> action) = 0;
};

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_TIMELINE_H_
