// Who may come in: counts the turns of one model that wait and run, and the slots that sessions
// hold or will hold, and refuses at once what has no room.
//
// Thread-safe. Callers take a ticket before their turn is posted to the step thread; the ticket
// goes with the turn and gives everything back when it is destroyed.
//
// Sessions may hold all slots but one, so that whoever waits for a working slot gets one in the
// end: a turn that would give a session its first slot past that is refused, because only a
// deletion could make room for it.
#ifndef SSMD_ENGINE_SCHEDULE_ADMISSION_H_
#define SSMD_ENGINE_SCHEDULE_ADMISSION_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/clock.h"
#include "engine/base/mutex.h"

namespace ssmd {

class Admission {
 public:
  // One accepted turn. Move-only; the Admission must outlive it.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& other) noexcept { *this = std::move(other); }
    Ticket& operator=(Ticket&& other) noexcept;
    ~Ticket() { Release(); }

    void Started();  // it no longer waits
    void BecameResident(int sessions);
    void Release();

   private:
    friend class Admission;
    Admission* owner_ = nullptr;
    bool waiting_ = false;
    int becoming_ = 0;
  };

  Admission(std::string model, int slots, int max_waiting)
      : model_(std::move(model)), slots_(slots), max_waiting_(max_waiting) {}

  // `working_slots`: what the turn needs while it runs; `new_residents`: sessions without a slot
  // that will hold one after it.
  absl::StatusOr<Ticket> Admit(int working_slots, int new_residents);
  // OK, or why a turn can never start: sessions have come to hold the slots that it needs.
  absl::Status CheckStartable(int working_slots) const;
  // A session that held a slot was deleted.
  void ResidentDeleted();
  // How long a turn took from its submission, for the retry delay of those that are refused.
  void NoteTurn(Duration duration);

  void Drain();
  bool drained() const;  // draining, and no tickets are out
  int waiting() const;

 private:
  absl::Status CheckStartableLocked(int working_slots) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status QueueFullLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string model_;
  const int slots_;
  const int max_waiting_;
  mutable Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  int accepted_ ABSL_GUARDED_BY(mutex_) = 0;  // tickets out
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;   // of those, not started
  int resident_ ABSL_GUARDED_BY(mutex_) = 0;  // sessions that hold a slot
  int becoming_ ABSL_GUARDED_BY(mutex_) = 0;  // sessions that will, when accepted turns commit
  double turn_seconds_ ABSL_GUARDED_BY(mutex_) = 0;  // moving average
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_ADMISSION_H_
