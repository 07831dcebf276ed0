// Where a turn's time goes: queue → prefill → decode → commit, one after the other, less the pauses
// for its reader, which are counted apart. The parts add up to the total, to the tick.
//
// Step thread, but for the constructor. Part of a turn; each phase is noted once, in that order.
#ifndef SSMD_ENGINE_SCHEDULE_TURN_TIMES_H_
#define SSMD_ENGINE_SCHEDULE_TURN_TIMES_H_

#include <optional>

#include "engine/base/clock.h"
#include "engine/observer.h"

namespace ssmd {

class TurnTimes {
 public:
  explicit TurnTimes(TimePoint submitted) : submitted_(submitted) {}

  // The first step that serves it begins.
  void NoteFirstStep(TimePoint now) {
    if (!first_step_.has_value()) first_step_ = now;
  }
  void NoteFirstToken(TimePoint now);
  // Nothing is left to run: what follows is the commit. A turn without one need not say it.
  void NoteRunEnd(TimePoint now);

  // Waits, while it is queued, for its state to come from host memory or the store.
  void BeginLoad(TimePoint now) {
    if (!loading_since_.has_value()) loading_since_ = now;
    has_loaded_ = true;
  }
  void EndLoad(TimePoint now);

  // Its reader is too slow from now on, or no longer.
  void BeginPause(TimePoint now);
  void EndPause(TimePoint now);

  bool has_started() const { return first_step_.has_value(); }
  bool has_spoken() const { return first_token_.has_value(); }
  bool has_loaded() const { return has_loaded_; }
  std::optional<TimePoint> paused_since() const { return paused_since_; }

  // As if it ended now.
  void Fill(TimePoint now, RequestRecord* record) const;

 private:
  const TimePoint submitted_;
  std::optional<TimePoint> first_step_;
  std::optional<TimePoint> first_token_;
  std::optional<TimePoint> run_end_;
  std::optional<TimePoint> loading_since_;
  std::optional<TimePoint> paused_since_;
  bool has_loaded_ = false;
  Duration load_{};
  Duration paused_{};               // pauses that are over
  Duration paused_before_token_{};  // of them, those before the first token
  int64_t pauses_ = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_TURN_TIMES_H_
