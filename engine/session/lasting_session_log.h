// The SessionLog of a state directory.
//
// A proposal is numbered, written, and applied on the log's thread when it is acknowledged. So the
// table is applied to in the order of the log, and what is applied when a record's acknowledgement
// arrives is exactly what is before it in the log. That is how an image is taken: an empty record
// is written, and when it is acknowledged the table is frozen, there and then. The image stands for
// every record up to that one, wherever a segment begins.
#ifndef SSMD_ENGINE_SESSION_LASTING_SESSION_LOG_H_
#define SSMD_ENGINE_SESSION_LASTING_SESSION_LOG_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/mutex.h"
#include "engine/log/commit_log.h"
#include "engine/session/session_log.h"
#include "engine/session/session_table.h"

namespace ssmd {

class LastingSessionLog final : public SessionLog {
 public:
  // `log` was read into `table` by a SessionRecovery, which tells the next number.
  LastingSessionLog(SessionTable* table, std::unique_ptr<CommitLog> log, uint64_t next_number,
                    int64_t compact_bytes);

  void Write(Proposal proposal, Durability durability, Done done) override;
  absl::Status Maintain() override;
  bool lasting() const override { return true; }
  CommitLogFigures figures() const override { return log_->figures(); }

 private:
  struct Frozen {
    uint64_t number = 0;  // of the last record whose changes are in
    std::vector<FrozenSession> sessions;
  };
  absl::StatusOr<Frozen> FreezeInOrder();
  absl::Status Compact();
  void Append(const std::vector<SessionChange>& changes, Durability durability,
              std::function<void(uint64_t number, absl::Status)> done);

  SessionTable* const table_;
  const int64_t compact_bytes_;
  Mutex mutex_;  // held while a record is numbered and appended: numbers ascend with the log
  uint64_t next_number_ ABSL_GUARDED_BY(mutex_);
  Mutex maintenance_mutex_;
  bool compacting_ ABSL_GUARDED_BY(maintenance_mutex_) = false;
  std::unique_ptr<CommitLog> log_;  // last: its callbacks use the rest until it is gone
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SESSION_LASTING_SESSION_LOG_H_
