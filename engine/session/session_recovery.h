// Reads the records of a log into an empty table: the image, if there is one, and what came after
// it. Used once, by whoever opens the log, on one thread.
#ifndef SSMD_ENGINE_SESSION_SESSION_RECOVERY_H_
#define SSMD_ENGINE_SESSION_SESSION_RECOVERY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "engine/session/session_change.h"
#include "engine/session/session_table.h"

namespace ssmd {

class SessionRecovery {
 public:
  SessionRecovery(SessionTable* table, ResolveState resolve);
  SessionRecovery(const SessionRecovery&) = delete;
  SessionRecovery& operator=(const SessionRecovery&) = delete;

  // The next record. DATA_LOSS, FAILED_PRECONDITION or NOT_FOUND for one that does not follow from
  // those before it; the table is of no use then.
  absl::Status Add(std::string_view record);
  // Of the next record that is written.
  uint64_t next_number() const { return last_number_ + 1; }

 private:
  absl::Status Replay(std::string_view changes);

  SessionTable* const table_;
  const ResolveState resolve_;
  // Every state that was named so far. A name stands for one state; and a state that a session let
  // go and another is going to name still has its file until the end.
  absl::flat_hash_map<std::string, StateRef> states_;
  ResolveState resolve_once_;
  bool started_ = false;
  bool in_image_ = false;
  uint64_t image_number_ = 0;  // records up to here are in the image
  uint64_t last_number_ = 0;   // of all
  uint64_t last_changes_ = 0;  // of those that are not of the image
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SESSION_SESSION_RECOVERY_H_
