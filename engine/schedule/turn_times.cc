#include "engine/schedule/turn_times.h"

namespace ssmd {

void TurnTimes::NoteFirstToken(TimePoint now) {
  if (first_token_.has_value()) return;
  first_token_ = now;
  paused_before_token_ = paused_;  // no step serves a turn that is paused
}

void TurnTimes::NoteRunEnd(TimePoint now) {
  EndPause(now);
  run_end_ = now;
}

void TurnTimes::EndLoad(TimePoint now) {
  if (!loading_since_.has_value()) return;
  load_ += now - *loading_since_;
  loading_since_.reset();
}

void TurnTimes::BeginPause(TimePoint now) {
  paused_since_ = now;
  ++pauses_;
}

void TurnTimes::EndPause(TimePoint now) {
  if (!paused_since_.has_value()) return;
  paused_ += now - *paused_since_;
  paused_since_.reset();
}

void TurnTimes::Fill(TimePoint now, RequestRecord* record) const {
  const TimePoint run_end = run_end_.value_or(now);
  const TimePoint started = first_step_.value_or(run_end);
  const TimePoint spoke = first_token_.value_or(run_end);
  const Duration paused = paused_ + (now - paused_since_.value_or(now));
  const Duration paused_early = first_token_.has_value() ? paused_before_token_ : paused;
  record->queue = started - submitted_;
  record->load = load_ + (now - loading_since_.value_or(now));
  record->prefill = spoke - started - paused_early;
  record->decode = run_end - spoke - (paused - paused_early);
  record->client_wait = paused;
  record->commit = now - run_end;
  record->total = now - submitted_;
  record->pauses = pauses_;
  if (first_token_.has_value()) record->first_token = *first_token_ - submitted_;
}

}  // namespace ssmd
