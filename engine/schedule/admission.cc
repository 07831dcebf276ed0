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

}  // namespace

Admission::Ticket& Admission::Ticket::operator=(Ticket&& other) noexcept {
  if (this != &other) {
    Release();
    owner_ = std::exchange(other.owner_, nullptr);
    waiting_ = std::exchange(other.waiting_, false);
    becoming_ = std::exchange(other.becoming_, 0);
  }
  return *this;
}

void Admission::Ticket::Started() {
  MutexLock lock(&owner_->mutex_);
  if (std::exchange(waiting_, false)) --owner_->waiting_;
}

void Admission::Ticket::BecameResident(int sessions) {
  MutexLock lock(&owner_->mutex_);
  becoming_ -= sessions;
  owner_->becoming_ -= sessions;
  owner_->resident_ += sessions;
}

void Admission::Ticket::Release() {
  if (owner_ == nullptr) return;
  Admission* owner = std::exchange(owner_, nullptr);
  MutexLock lock(&owner->mutex_);
  --owner->accepted_;
  if (waiting_) --owner->waiting_;
  owner->becoming_ -= becoming_;
}

absl::StatusOr<Admission::Ticket> Admission::Admit(int working_slots, int new_residents) {
  MutexLock lock(&mutex_);
  if (draining_) {
    return WithReason(absl::UnavailableError("the server is draining: use another one"),
                      reason::kDraining);
  }
  if (working_slots > slots_) {
    return WithReason(absl::InvalidArgumentError(absl::StrFormat(
                          "n must be at most %d, the state slots of model %s, got %d", slots_,
                          model_, working_slots)),
                      reason::kInvalidField);
  }
  SSMD_RETURN_IF_ERROR(CheckStartableLocked(working_slots));
  if (new_residents > 0 && resident_ + becoming_ + new_residents > slots_ - 1) {
    return WithReason(
        absl::ResourceExhaustedError(absl::StrFormat(
            "sessions hold %d of the %d state slots of model %s and may hold at most %d, and this "
            "turn would add %d: delete sessions, or raise --state-slots",
            resident_ + becoming_, slots_, model_, slots_ - 1, new_residents)),
        reason::kSlotsHeld);
  }
  if (waiting_ >= max_waiting_) return QueueFullLocked();
  ++accepted_;
  ++waiting_;
  becoming_ += new_residents;
  Ticket ticket;
  ticket.owner_ = this;
  ticket.waiting_ = true;
  ticket.becoming_ = new_residents;
  return ticket;
}

absl::Status Admission::QueueFullLocked() const {
  const int running = std::max(accepted_ - waiting_, 1);
  const double seconds =
      std::clamp(turn_seconds_ * waiting_ / running, kRetrySecondsMin, kRetrySecondsMax);
  return WithRetryAfter(
      WithReason(absl::ResourceExhaustedError(absl::StrFormat(
                     "%d turns wait for model %s already: retry later", waiting_, model_)),
                 reason::kQueueFull),
      std::chrono::milliseconds(std::llround(seconds * 1000)));
}

absl::Status Admission::CheckStartable(int working_slots) const {
  MutexLock lock(&mutex_);
  return CheckStartableLocked(working_slots);
}

absl::Status Admission::CheckStartableLocked(int working_slots) const {
  if (working_slots <= slots_ - resident_) return absl::OkStatus();
  return WithReason(
      absl::ResourceExhaustedError(absl::StrFormat(
          "the request needs %d state slots of model %s, and sessions hold %d of the %d: delete "
          "sessions, ask for fewer choices, or raise --state-slots",
          working_slots, model_, resident_, slots_)),
      reason::kSlotsHeld);
}

void Admission::ResidentDeleted() {
  MutexLock lock(&mutex_);
  --resident_;
}

void Admission::NoteTurn(Duration duration) {
  MutexLock lock(&mutex_);
  turn_seconds_ =
      turn_seconds_ == 0 ? Seconds(duration) : 0.9 * turn_seconds_ + 0.1 * Seconds(duration);
}

void Admission::Drain() {
  MutexLock lock(&mutex_);
  draining_ = true;
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
