// Whether the engine's step thread still goes round: a kernel that hangs, or a deadlock, would
// leave a daemon that answers and computes nothing. One thread.
#ifndef SSMD_SERVER_STEP_WATCH_H_
#define SSMD_SERVER_STEP_WATCH_H_

#include <cstdint>

#include "engine/base/clock.h"
#include "engine/engine.h"

namespace ssmd::server {

class StepWatch {
 public:
  // A step that takes longer than `limit` counts as one that does not end. Everything outlives it.
  StepWatch(Engine* engine, Duration limit, const Clock* clock)
      : engine_(engine), limit_(limit), clock_(clock), seen_at_(clock->Now()) {}

  // To be called every second or so.
  bool Alive() {
    const uint64_t pulse = engine_->Pulse();
    const TimePoint now = clock_->Now();
    if (pulse != pulse_) {
      pulse_ = pulse;
      seen_at_ = now;
    }
    return now - seen_at_ <= limit_;
  }

 private:
  Engine* const engine_;
  const Duration limit_;
  const Clock* const clock_;
  uint64_t pulse_ = 0;
  TimePoint seen_at_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_STEP_WATCH_H_
