// What session_entry.cc and session_entry_changes.cc share: what can be, and what is bounded.
// Nobody else's affair.
#ifndef SSMD_ENGINE_SESSION_SESSION_ENTRY_RULES_H_
#define SSMD_ENGINE_SESSION_SESSION_ENTRY_RULES_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "engine/session/session_entry.h"

namespace ssmd {

// DATA_LOSS, naming the session.
absl::Status ImpossibleSession(const SessionKey& key, std::string_view what);
absl::Status CheckKey(const SessionKey& key);
// A state may be of fewer tokens than the point has consumed, never of more.
absl::Status CheckPoint(const SessionKey& key, const SessionPoint& point, int64_t history_size);

SessionPoint PointAfter(uint64_t revision, int64_t position, SessionCommit* commit);
// Turn ends and checkpoints have the state of their point or none.
SessionPoint WithExactState(SessionPoint point);

// Makes the state the anchor if the store has it and it is better than the one there is: deeper, or
// as deep and the present's own.
void AdoptAnchor(SessionEntry* entry, const StateRef& state, const ChangeScope& scope);
// Forgets the oldest turn ends, and then the states of the oldest, past the limits.
void TrimTurnEnds(SessionEntry* entry, const ChangeScope& scope);
// The newest stays, whatever its size: a retry of it must not be applied twice.
void KeepResult(SessionEntry* entry, TurnResult result, const SessionLimits& limits);

}  // namespace ssmd

#endif  // SSMD_ENGINE_SESSION_SESSION_ENTRY_RULES_H_
