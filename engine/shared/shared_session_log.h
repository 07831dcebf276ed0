// The SessionLog of a replica: writes to its own log, notes for the shared store what has changed,
// and, where REPLICATED was asked for, waits until the store has it.
//
// What is applied here is never taken back because the store could not be told: a turn whose write
// to it failed ends with UNAVAILABLE (NOT_REPLICATED), and its result is kept, for a retry.
//
// Thread-safe. `done` must not write.
#ifndef SSMD_ENGINE_SHARED_SHARED_SESSION_LOG_H_
#define SSMD_ENGINE_SHARED_SHARED_SESSION_LOG_H_

#include <memory>
#include <vector>

#include "engine/session/session_log.h"
#include "engine/shared/session_sharing.h"

namespace ssmd {

class SharedSessionLog final : public SessionLog {
 public:
  // Both outlive it.
  SharedSessionLog(SessionLog* local, SessionSharing* sharing) : local_(local), sharing_(sharing) {}

  void Write(Proposal proposal, Durability durability, Done done) override;
  absl::Status Maintain() override { return local_->Maintain(); }
  bool lasting() const override { return local_->lasting(); }
  CommitLogFigures figures() const override { return local_->figures(); }

 private:
  SessionLog* const local_;
  SessionSharing* const sharing_;
  // Held while a proposal is handed on: a log that applies at once does so, and it is noted, before
  // the next one of the same session can be.
  Mutex order_mutex_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SHARED_SHARED_SESSION_LOG_H_
