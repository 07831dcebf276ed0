// One session's data, and what each change makes of it. The same functions serve and recover:
// SessionTable calls them in Apply and in Replay.
//
// What holds of every entry:
//  - present.position = |history|, 0 <= pending <= position;
//  - present.state, where there is one, has consumed the first tokens of `history`, as many as the
//    present has consumed or fewer (then the next turn feeds the rest again);
//  - a turn end's state and a checkpoint's have consumed exactly what their point has;
//  - turn ends are of this history, before the present, in order; checkpoints have histories of
//    their own, which share blocks with it;
//  - no state is of tokens that a rewind gave up, but for those that checkpoints hold.
//
// A value type, copied where an image of it is being made (SessionTable::Freeze). Functions that
// return an error have changed nothing. Thread-compatible.
#ifndef SSMD_ENGINE_SESSION_SESSION_ENTRY_H_
#define SSMD_ENGINE_SESSION_SESSION_ENTRY_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/session/session.h"
#include "engine/session/session_change.h"
#include "engine/session/session_table.h"
#include "engine/state/history.h"

namespace ssmd {

struct SessionEntry {
  struct TurnEnd {
    SessionPoint point;
    uint64_t used = 0;  // when its state was wanted last: the table's count of uses, never the same
  };
  struct Checkpoint {
    History history;
    SessionPoint point;
    bool recorded = false;  // the log names its state's copy in the store
  };

  SessionKey key;
  std::string model;
  std::string model_fingerprint;
  History history;
  SessionPoint present;
  StateRef anchor;  // the deepest of this history that the log names; kept, so that its file is
  std::string parent_id;
  int64_t parent_position = 0;
  std::deque<TurnEnd> turn_ends;
  std::map<std::string, std::shared_ptr<const Checkpoint>> checkpoints;
  std::deque<std::shared_ptr<const TurnResult>> results;  // oldest first
  int64_t result_bytes = 0;
  SessionLifetime lifetime;
  int64_t created_unix_ms = 0;
  int64_t used_unix_ms = 0;
};

// What the functions below need of the table.
struct ChangeScope {
  const SessionLimits& limits;
  uint64_t* uses;                   // the table's count
  std::vector<StateRef>* released;  // to be let go later: deleters do work, and take locks
};

// --- New sessions ---
inline constexpr uint64_t kRevisionOfFork = 1;
absl::StatusOr<SessionEntry> CreateEntry(SessionCreated change);
absl::StatusOr<SessionEntry> ForkEntry(const SessionEntry& parent, SessionForked change);
absl::StatusOr<SessionEntry> EntryOfImage(SessionImage image, const ChangeScope& scope);

// --- Changes ---
// One that the entry has already does nothing. FAILED_PRECONDITION for one that skips a revision.
// What a change brings and the entry does not take stays in it, for the caller to let go.
absl::Status ChangeEntry(SessionEntry* entry, SessionCommitted&& change, const ChangeScope& scope);
absl::Status ChangeEntry(SessionEntry* entry, SessionRewound&& change, const ChangeScope& scope);
absl::Status ChangeEntry(SessionEntry* entry, SessionCheckpointed&& change,
                         const ChangeScope& scope);
absl::Status ChangeEntry(SessionEntry* entry, StateStored&& change, const ChangeScope& scope);
absl::Status ChangeEntry(SessionEntry* entry, ResultKept&& change, const ChangeScope& scope);

// --- Looking ---
// DATA_LOSS unless such a commit can follow a history of so many tokens.
absl::Status CheckCommit(int64_t base_position, const SessionCommit& commit);
// DATA_LOSS for an image that is of no session.
absl::Status CheckImage(const SessionImage& image);
// Null when there is none.
const TurnResult* FindResult(const SessionEntry& entry, const std::string& request_id);
int64_t ExpiresUnixMs(const SessionEntry& entry);  // 0: never
// All but what only the table knows: whether a turn runs or waits.
SessionInfo DescribeEntry(const SessionEntry& entry);
// Everything, with a state that the store has, if it has any. Takes the time of copying it.
SessionImage ImageOfEntry(const SessionEntry& entry);
// The present alone, or a checkpoint alone (which there must be).
SessionImage ImageOfPoint(const SessionEntry& entry, const std::string& checkpoint);

}  // namespace ssmd

#endif  // SSMD_ENGINE_SESSION_SESSION_ENTRY_H_
