// Opening a state directory's log: the one place where sessions meet the CommitLog's files.
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/session/lasting_session_log.h"
#include "engine/session/session_log.h"
#include "engine/session/session_recovery.h"

namespace ssmd {

absl::StatusOr<std::unique_ptr<SessionLog>> SessionLog::Open(const SessionLogOptions& options,
                                                             SessionTable* table,
                                                             const ResolveState& resolve) {
  SessionRecovery recovery(table, resolve);
  SSMD_ASSIGN_OR_RETURN(
      std::unique_ptr<CommitLog> log,
      CommitLog::Open(options.log, [&](std::string_view record) { return recovery.Add(record); }));
  return std::make_unique<LastingSessionLog>(table, std::move(log), recovery.next_number(),
                                             options.compact_bytes);
}

}  // namespace ssmd
