#include "engine/schedule/admission.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/base/status_macros.h"

namespace ssmd {
namespace {

constexpr double kRetrySecondsMin = 0.1;
constexpr double kRetrySecondsMax = 30;
constexpr double kAverageOverTurns = 16;

}  // namespace

Admission::Ticket& Admission::Ticket::operator=(Ticket&& other) noexcept {
  if (this != &other) {
    Release();
    owner_ = std::exchange(other.owner_, nullptr);
    waiting_ = std::exchange(other.waiting_, false);
    new_states_ = std::exchange(other.new_states_, 0);
  }
  return *this;
}

void Admission::Ticket::Started() {
  MutexLock lock(&owner_->mutex_);
  if (std::exchange(waiting_, false)) --owner_->waiting_;
}

void Admission::Ticket::Release() {
  if (owner_ == nullptr) return;
  Admission* owner = std::exchange(owner_, nullptr);
  MutexLock lock(&owner->mutex_);
  --owner->accepted_;
  if (waiting_) --owner->waiting_;
  owner->new_states_ -= new_states_;
}

absl::StatusOr<Admission::Ticket> Admission::Admit(int working_slots, int new_states,
                                                   std::optional<Duration> time_left) {
  const int64_t held = options_.states_held ? options_.states_held() : 0;
  MutexLock lock(&mutex_);
  SSMD_RETURN_IF_ERROR(CheckOpenLocked());
  if (working_slots > options_.slots) {
    return WithReason(absl::InvalidArgumentError(absl::StrFormat(
                          "n must be at most %d, the state slots of model %s, got %d",
                          options_.slots, options_.model, working_slots)),
                      reason::kInvalidField);
  }
  SSMD_RETURN_IF_ERROR(CheckRoomLocked(new_states, held));
  const double wait_seconds = seconds_per_turn_ * waiting_;
  if (waiting_ >= options_.max_waiting) {
    return Refuse(absl::StrFormat("%d turns wait for model %s already", waiting_, options_.model),
                  wait_seconds);
  }
  if (waiting_ > 0 && wait_seconds > Seconds(std::min(options_.max_queue_time,
                                                      time_left.value_or(Duration::max())))) {
    return Refuse(
        absl::StrFormat("%d turns wait for model %s, some %.1f s, which is longer than %s",
                        waiting_, options_.model, wait_seconds,
                        wait_seconds > Seconds(options_.max_queue_time)
                            ? "turns may (--max-queue-time)"
                            : "the deadline leaves"),
        wait_seconds);
  }
  ++accepted_;
  ++waiting_;
  new_states_ += new_states;
  Ticket ticket;
  ticket.owner_ = this;
  ticket.waiting_ = true;
  ticket.new_states_ = new_states;
  return ticket;
}

absl::Status Admission::Refuse(const std::string& why, double seconds) const {
  const double delay = std::clamp(seconds, kRetrySecondsMin, kRetrySecondsMax);
  return WithRetryAfter(
      WithReason(absl::ResourceExhaustedError(why + ": retry later"), reason::kQueueFull),
      std::chrono::milliseconds(std::llround(delay * 1000)));
}

absl::Status Admission::CheckRoom(int64_t new_states) const {
  const int64_t held = options_.states_held ? options_.states_held() : 0;
  MutexLock lock(&mutex_);
  return CheckRoomLocked(new_states, held);
}

absl::Status Admission::CheckRoomLocked(int64_t new_states, int64_t held) const {
  const int64_t taken = held + new_states_;
  if (new_states == 0 || taken + new_states <= options_.states_max) return absl::OkStatus();
  return WithReason(
      absl::ResourceExhaustedError(absl::StrFormat(
          "sessions of model %s hold %d states of the %d that there is room for, and this would "
          "add "
          "%d: delete sessions or checkpoints, or raise --host-state-bytes, --state-slots or "
          "(with --state-dir) --disk-state-bytes",
          options_.model, taken, options_.states_max, new_states)),
      reason::kSlotsHeld);
}

void Admission::NoteEnd(TimePoint now) {
  MutexLock lock(&mutex_);
  if (waiting_ == 0) {
    last_end_.reset();
    return;
  }
  if (last_end_.has_value()) {
    const double seconds = Seconds(now - *last_end_);
    seconds_per_turn_ = seconds_per_turn_ == 0
                            ? seconds
                            : seconds_per_turn_ + (seconds - seconds_per_turn_) / kAverageOverTurns;
  }
  last_end_ = now;
}

void Admission::Drain() {
  MutexLock lock(&mutex_);
  draining_ = true;
}

absl::Status Admission::CheckOpen() const {
  MutexLock lock(&mutex_);
  return CheckOpenLocked();
}

absl::Status Admission::CheckOpenLocked() const {
  if (!draining_) return absl::OkStatus();
  return WithReason(absl::UnavailableError("the server is draining: use another one"),
                    reason::kDraining);
}

bool Admission::drained() const {
  MutexLock lock(&mutex_);
  return draining_ && accepted_ == 0;
}

int Admission::waiting() const {
  MutexLock lock(&mutex_);
  return waiting_;
}

}  // namespace ssmd
