// One accepted request, from the queue to its end: a generation or a scoring. A turn owns its lanes
// and working slots, says what it wants of each step, and takes in what came of it.
//
// Made on the caller's thread, then the step thread's alone. The runner (model_runner.h) drives it:
//
//   Prepare* → Start → (WantRows → Advance)* until outcome()
//            → Propose, if there is something to commit, and Committed once that is written
//            → Release → Deliver
//
// The commit precedes everything that tells the caller of it, and Release precedes Deliver, so that
// whoever hears of the end finds the session, the slots and the queue as the turn left them.
#ifndef SSMD_ENGINE_SCHEDULE_TURN_H_
#define SSMD_ENGINE_SCHEDULE_TURN_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/clock.h"
#include "engine/observer.h"
#include "engine/schedule/admission.h"
#include "engine/schedule/lane.h"
#include "engine/schedule/logits_pass.h"
#include "engine/schedule/output_stream.h"
#include "engine/schedule/prefix_wait.h"
#include "engine/schedule/turn_times.h"
#include "engine/session/session_table.h"
#include "engine/state/state_pool.h"

namespace ssmd {

struct TurnHead {
  std::string request_id;  // the server's name for it, in events and logs
  std::string trace_id;    // of the caller's trace, for logs; empty: none
  std::string tenant;
  std::string session_id;  // empty: anonymous
  Priority priority = Priority::kNormal;
  int working_slots = 1;
  int64_t prompt_tokens = 0;  // new ones, for the tenants' shares
  std::optional<TimePoint> deadline;
  TimePoint submitted;
  uint64_t sequence = 0;  // order of submission, unique within the engine
  Durability durability = Durability::kProcess;
  Admission::Ticket ticket;
};

class Turn {
 public:
  explicit Turn(TurnHead head) : head_(std::move(head)), times_(head_.submitted) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  virtual ~Turn() = default;

  TurnHead& head() { return head_; }
  const TurnHead& head() const { return head_; }
  TurnTimes& times() { return times_; }
  const TurnTimes& times() const { return times_; }

  virtual bool cancelled() const = 0;
  // True while nothing more should be made for a reader who does not take it.
  virtual bool held_by_reader() const { return false; }

  // While it waits: whether what it goes on from is within reach, which is brought about over some
  // rounds. Its turn of the session comes first, then the state; `in_flight` tells of prompts that
  // are being read. An error ends the turn.
  enum class Readiness : uint8_t { kReady, kWaitsForTurn, kWaitsForState };
  virtual absl::StatusOr<Readiness> Prepare(TimePoint /*now*/, PrefixesInFlight* /*in_flight*/) {
    return Readiness::kReady;
  }
  // While it waits: gives up the states that it was prepared with. False when there are none.
  virtual bool LetGo() { return false; }
  // The prompt, while other prompts can wait for its states: see PrefixesInFlight.
  virtual PrefixSource* prefix_source() { return nullptr; }

  // `slots`: head().working_slots of them, zeroed. REQUIRES: Prepare gave kReady this round.
  virtual void Start(std::vector<Slot> slots, TimePoint now) = 0;
  // All lanes, whether they have tokens to feed or not.
  virtual void AppendLanes(std::vector<Lane*>* lanes) = 0;
  // Before a step that feeds the next `count` tokens of `lane`: what is wanted of their logits.
  // RowJob::row counts from the lane's first row of the step. Results go where the jobs say.
  virtual void WantRows(Lane* lane, int count, std::vector<RowJob>* jobs) = 0;
  // After the step; `lane` has moved on. `observer` may be null. Returns how many tokens were
  // sampled.
  virtual int Advance(Lane* lane, TimePoint now, Observer* observer) = 0;
  // Set when there is nothing left to run: OK, or what went wrong.
  virtual std::optional<absl::Status> outcome() const = 0;
  // It has to end before its time. True when there is something to commit all the same.
  virtual bool Salvage() { return false; }

  // The end: what is to become of the session. Absent: nothing. An empty Proposal: not now, try
  // again next round.
  virtual absl::StatusOr<std::optional<Proposal>> Propose() { return std::nullopt; }
  virtual void Committed(const std::vector<SessionInfo>& /*sessions*/) {}
  // Gives back slots, session and ticket.
  void Release() {
    ReleaseHeld();
    head_.ticket.Release();
  }
  // Tells the caller how it ended, once.
  virtual void Deliver(const absl::Status& status, TimePoint now) = 0;
  // What to tell the observer, if it ended now; the runner adds model and status.
  virtual RequestRecord Record(TimePoint now) const = 0;

  // Its reader is slow from now on: nobody waits for it meanwhile.
  virtual void Pause() {}

  // Whether it is the turn of this request on this session; and if so, its stream from now on.
  virtual bool IsRequest(const SessionKey& /*session*/, const std::string& /*request_id*/) const {
    return false;
  }
  virtual void TakeOver(const std::shared_ptr<OutputStream>& /*stream*/) {}
  virtual bool IsOf(const SessionKey& /*session*/) const { return false; }

 protected:
  virtual void ReleaseHeld() = 0;

 private:
  TurnHead head_;
  TurnTimes times_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_TURN_H_
