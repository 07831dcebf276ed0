// Makes changes of sessions lasting: writes proposals to the commit log, applies them when the log
// has them, and keeps the log short. Without a state directory proposals are applied at once and
// last as long as the process.
//
// Thread-safe.
#ifndef SSMD_ENGINE_SESSION_SESSION_LOG_H_
#define SSMD_ENGINE_SESSION_SESSION_LOG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/log/commit_log.h"
#include "engine/session/session_table.h"

namespace ssmd {

struct SessionLogOptions {
  CommitLogOptions log;
  // The log is compacted when it is larger than this and more than twice its image.
  int64_t compact_bytes = int64_t{64} << 20;
};

class SessionLog {
 public:
  // No state directory: nothing is written.
  static std::unique_ptr<SessionLog> InMemory(SessionTable* table);
  // Reads the log into the (empty) table. `resolve`: see DecodeChanges.
  static absl::StatusOr<std::unique_ptr<SessionLog>> Open(const SessionLogOptions& options,
                                                          SessionTable* table,
                                                          const ResolveState& resolve);
  // The table outlives it.
  virtual ~SessionLog() = default;

  using Done = std::function<void(absl::StatusOr<std::vector<SessionInfo>>)>;
  // `done` is called once, on the log's thread or at once, after the changes were applied. With an
  // error nothing has changed. Never blocks.
  virtual void Write(Proposal proposal, Durability durability, Done done) = 0;
  // The same, waiting. Not on the step thread.
  absl::StatusOr<std::vector<SessionInfo>> WriteAndWait(Proposal proposal, Durability durability);

  // Compacts when it is time to. Blocking; called now and then by whoever keeps house.
  virtual absl::Status Maintain() = 0;

  virtual bool lasting() const = 0;
  virtual CommitLogFigures figures() const = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SESSION_SESSION_LOG_H_
