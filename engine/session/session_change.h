// Everything that can happen to sessions, as values: what the commit log records, and what the
// SessionTable applies, while serving and in recovery alike. Applying the same changes to the same
// table gives the same sessions.
//
// A state goes into the log as the name of its copy in the store, if it has one; recovery turns it
// back into a reference, or into none.
#ifndef SSMD_ENGINE_SESSION_SESSION_CHANGE_H_
#define SSMD_ENGINE_SESSION_SESSION_CHANGE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/session/session.h"
#include "engine/session/turn_result.h"

namespace ssmd {

struct SessionLifetime {
  int64_t ttl_ms = 0;   // since creation; 0: no end
  int64_t idle_ms = 0;  // since its last use; 0: no end
};

struct SessionCreated {
  SessionKey key;
  std::string model;
  std::string model_fingerprint;
  SessionLifetime lifetime;
  int64_t unix_ms = 0;
};

struct SessionCommitted {
  SessionKey key;
  uint64_t revision = 0;  // the new one; applies to revision − 1 only
  SessionCommit commit;
  std::optional<TurnResult> result;  // when the request had an id
  int64_t unix_ms = 0;
};

// A child that starts with the first `position` tokens of its parent's history, or of one of the
// parent's checkpoints, and perhaps goes on from there.
struct SessionForked {
  SessionKey key;          // the child's
  std::string parent_id;   // of the same tenant
  std::string checkpoint;  // of the parent's; empty: its history
  int64_t position = 0;
  SessionCommit commit;  // `appended` may be empty
  SessionLifetime lifetime;
  int64_t unix_ms = 0;
};

// An answer to a request that left the session itself unchanged (n > 1).
struct ResultKept {
  SessionKey key;
  TurnResult result;
};

// Back to an earlier point of the history, or to a checkpoint.
struct SessionRewound {
  SessionKey key;
  uint64_t revision = 0;   // the new one
  std::string checkpoint;  // empty: within the history
  int64_t position = 0;
  int64_t pending_tokens = 0;
  std::string text_remainder;
  StateRef state;
  int64_t unix_ms = 0;
};

struct SessionCheckpointed {
  SessionKey key;
  uint64_t revision = 0;  // of the session, which stays
  std::string name;       // replaces one of the same name
  bool remove = false;    // takes the name away instead
};

struct SessionDeleted {
  SessionKey key;
};

// A copy of the session's state (or of a checkpoint's, when `checkpoint` is not empty) is in the
// store; a replay need not go further back.
struct StateStored {
  SessionKey key;
  uint64_t revision = 0;  // of the session, which stays
  std::string checkpoint;
  StateRef state;
};

// A whole session: imported, or part of the log's image.
struct SessionImage {
  struct Checkpoint {
    std::string name;
    TokenLog history;
    SessionPoint point;
  };
  SessionKey key;
  std::string model;
  std::string model_fingerprint;
  uint64_t revision = 0;
  TokenLog history;
  int64_t pending_tokens = 0;
  std::string text_remainder;
  StateRef state;
  std::string parent_id;
  int64_t parent_position = 0;
  std::vector<SessionPoint> turn_ends;  // before the present, oldest first
  std::vector<Checkpoint> checkpoints;  // by name
  std::vector<TurnResult> results;      // oldest first
  SessionLifetime lifetime;
  int64_t created_unix_ms = 0;
  int64_t used_unix_ms = 0;
};

using SessionChange =
    std::variant<SessionCreated, SessionCommitted, SessionForked, ResultKept, SessionRewound,
                 SessionCheckpointed, SessionDeleted, StateStored, SessionImage>;

// A record of the log: changes that happen together or not at all.
std::string EncodeChanges(const std::vector<SessionChange>& changes);

// `resolve` gives the state stored under a name, or null. DATA_LOSS for bytes that no EncodeChanges
// of this version wrote.
using ResolveState =
    std::function<StateRef(const std::string& stored_id, int64_t position, size_t bytes)>;
absl::StatusOr<std::vector<SessionChange>> DecodeChanges(std::string_view record,
                                                         const ResolveState& resolve);

}  // namespace ssmd

#endif  // SSMD_ENGINE_SESSION_SESSION_CHANGE_H_
