// Who may come in: counts the turns of one model that wait and run, and the states that sessions
// hold or will hold, and refuses at once what has no room or would wait too long.
//
// Thread-safe. Callers take a ticket before their turn is posted to the step thread; the ticket
// goes with the turn and gives everything back when it is destroyed.
//
// States of sessions and checkpoints have to be somewhere. There is room for as many as fit all
// tiers but one slot, so that whoever waits for a working slot gets one in the end: a turn that
// would make one more is refused, because only a deletion could make room for it.
#ifndef SSMD_ENGINE_SCHEDULE_ADMISSION_H_
#define SSMD_ENGINE_SCHEDULE_ADMISSION_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/clock.h"
#include "engine/base/mutex.h"

namespace ssmd {

struct AdmissionOptions {
  std::string model;
  int slots = 0;
  int max_waiting = 0;
  Duration max_queue_time = Duration::max();
  int64_t states_max = 0;                // of sessions and checkpoints, in all tiers
  std::function<int64_t()> states_held;  // any thread; takes no lock of ours
};

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
    void Release();

   private:
    friend class Admission;
    Admission* owner_ = nullptr;
    bool waiting_ = false;
    int64_t new_states_ = 0;
  };

  explicit Admission(AdmissionOptions options) : options_(std::move(options)) {}

  // `working_slots`: what the turn needs while it runs; `new_states`: sessions that have no state
  // and will have one after it; `time_left`: until its deadline.
  absl::StatusOr<Ticket> Admit(int working_slots, int new_states,
                               std::optional<Duration> time_left);
  // RESOURCE_EXHAUSTED unless so many more states (of forks, checkpoints, imports) have room.
  absl::Status CheckRoom(int64_t new_states) const;
  // A turn has ended: for estimates of how long those that wait will.
  void NoteEnd(TimePoint now);

  void Drain();
  absl::Status CheckOpen() const;  // UNAVAILABLE once draining
  bool drained() const;            // draining, and no tickets are out
  int waiting() const;

 private:
  absl::Status CheckOpenLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckRoomLocked(int64_t new_states, int64_t held) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Refuse(const std::string& why, double seconds) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const AdmissionOptions options_;
  mutable Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  int accepted_ ABSL_GUARDED_BY(mutex_) = 0;        // tickets out
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;         // of those, not started
  int64_t new_states_ ABSL_GUARDED_BY(mutex_) = 0;  // that accepted turns will make
  std::optional<TimePoint> last_end_ ABSL_GUARDED_BY(mutex_);
  double seconds_per_turn_ ABSL_GUARDED_BY(mutex_) = 0;  // between ends, while turns wait; average
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_ADMISSION_H_
