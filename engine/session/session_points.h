// The points of a session's past: which there are, what a rewind or a fork means by one, and the
// best state to go on from. Pure functions of an entry.
#ifndef SSMD_ENGINE_SESSION_SESSION_POINTS_H_
#define SSMD_ENGINE_SESSION_SESSION_POINTS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "engine/session/session.h"
#include "engine/session/session_entry.h"
#include "engine/session/session_table.h"
#include "engine/state/history.h"

namespace ssmd {

// Whether two histories have the same first `length` tokens.
bool SharesBeginning(const History& a, const History& b, int64_t length);

// The deepest state of the entry's, at or below `consumed` tokens, that is one of `line`'s first
// tokens: the entry's history itself, or another's that shares its beginning. Null when there is
// none. `recorded_only`: of those that the log has said to be in the store and this session's.
// REQUIRES: consumed <= line.size().
StateRef BestState(const SessionEntry& entry, const History& line, int64_t consumed,
                   bool recorded_only = false);

// Where the target is, with the best state for it. INVALID_ARGUMENT; NOT_FOUND, listing what is
// held, for what is not known or not held.
absl::StatusOr<SessionPoint> FindRewindPoint(const SessionEntry& entry, const RewindTarget& target);
absl::StatusOr<SessionPoint> FindForkPoint(const SessionEntry& entry, const ForkOptions& options);

// The checkpoint. NOT_FOUND lists those that there are.
absl::StatusOr<std::shared_ptr<const SessionEntry::Checkpoint>> FindCheckpoint(
    const SessionEntry& entry, const std::string& name);

// Whether going back to the point computes nothing again.
inline bool IsHeld(const SessionPoint& point) {
  return point.consumed() == 0 ||
         (point.state != nullptr && point.state->position == point.consumed());
}

}  // namespace ssmd

#endif  // SSMD_ENGINE_SESSION_SESSION_POINTS_H_
