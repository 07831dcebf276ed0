#include "engine/session/session_points.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/base/status_macros.h"
#include "engine/session/session_errors.h"

namespace ssmd {
namespace {

// "turn ends at 0, 17, 40; checkpoints: draft (17)".
std::string ListHeld(const SessionEntry& entry) {
  std::vector<std::string> ends;
  for (const auto& end : entry.turn_ends) {
    if (IsHeld(end.point)) ends.push_back(absl::StrCat(end.point.position));
  }
  if (IsHeld(entry.present)) ends.push_back(absl::StrCat(entry.present.position));
  std::vector<std::string> checkpoints;
  for (const auto& [name, checkpoint] : entry.checkpoints) {
    if (!IsHeld(checkpoint->point)) continue;
    checkpoints.push_back(absl::StrFormat("%s (%d)", name, checkpoint->point.position));
  }
  return absl::StrFormat("turn ends at %s; checkpoints: %s",
                         ends.empty() ? "none" : absl::StrJoin(ends, ", "),
                         checkpoints.empty() ? "none" : absl::StrJoin(checkpoints, ", "));
}

absl::Status NoSuchPoint(const SessionEntry& entry, const std::string& what) {
  return PointNotHeld(
      absl::StrFormat("session %s %s; held are: %s", entry.key.id, what, ListHeld(entry)));
}

// A point of the entry's history with this position that is known, the newest of several; held ones
// first.
std::optional<SessionPoint> KnownPoint(const SessionEntry& entry, int64_t position) {
  std::optional<SessionPoint> known;
  const auto consider = [&](const SessionPoint& point) {
    if (point.position != position || (known.has_value() && IsHeld(*known))) return;
    if (!known.has_value() || IsHeld(point)) known = point;
  };
  consider(entry.present);
  for (auto end = entry.turn_ends.rbegin(); end != entry.turn_ends.rend(); ++end) {
    consider(end->point);
  }
  for (const auto& [name, checkpoint] : entry.checkpoints) {
    if (SharesBeginning(entry.history, checkpoint->history, position)) consider(checkpoint->point);
  }
  if (!known.has_value() && position == 0) known.emplace();
  return known;
}

absl::StatusOr<SessionPoint> PointAt(const SessionEntry& entry, int64_t position,
                                     bool allow_recompute) {
  const int64_t size = entry.history.size();
  if (position < 0 || position > size) {
    return InvalidField(absl::StrFormat("position must be in [0, %d], got %d", size, position));
  }
  if (auto known = KnownPoint(entry, position)) return *std::move(known);
  if (!allow_recompute) {
    return NoSuchPoint(entry, absl::StrFormat("has no turn end at position %d", position));
  }
  // Amid a turn: its last token is fed by the next turn, which may bring none of its own.
  SessionPoint point;
  point.position = position;
  point.pending_tokens = 1;
  return point;
}

absl::StatusOr<SessionPoint> PointTurnsBack(const SessionEntry& entry, int turns) {
  if (turns < 1) return InvalidField(absl::StrFormat("turns must be at least 1, got %d", turns));
  const auto known = entry.turn_ends.size();
  if (static_cast<size_t>(turns) > known) {
    return NoSuchPoint(entry, absl::StrFormat("knows of %d turn ends before the present, not of %d",
                                              known, turns));
  }
  return entry.turn_ends[known - static_cast<size_t>(turns)].point;
}

// With the best state there is. NOT_FOUND where that is not enough and has to be.
absl::StatusOr<SessionPoint> WithState(const SessionEntry& entry, const History& line,
                                       SessionPoint point, bool allow_recompute) {
  if (!IsHeld(point)) point.state = BestState(entry, line, point.consumed());
  if (IsHeld(point) || allow_recompute) return point;
  return NoSuchPoint(
      entry, absl::StrFormat("does not hold the state at position %d any more (allow_recompute "
                             "computes it again)",
                             point.position));
}

}  // namespace

bool SharesBeginning(const History& a, const History& b, int64_t length) {
  return &a == &b || (a.size() >= length && b.size() >= length && a.Hash(length) == b.Hash(length));
}

StateRef BestState(const SessionEntry& entry, const History& line, int64_t consumed,
                   bool recorded_only) {
  StateRef best;
  const auto consider = [&](const StateRef& state, const History& history) {
    if (state == nullptr || state->lost() || state->position > consumed) return;
    if (best != nullptr && state->position <= best->position) return;
    if (SharesBeginning(history, line, state->position)) best = state;
  };
  consider(entry.anchor, entry.history);
  for (const auto& [name, checkpoint] : entry.checkpoints) {
    if (recorded_only && !checkpoint->recorded) continue;
    consider(checkpoint->point.state, checkpoint->history);
  }
  if (recorded_only) return best;
  consider(entry.present.state, entry.history);
  for (const auto& end : entry.turn_ends) consider(end.point.state, entry.history);
  return best;
}

absl::StatusOr<std::shared_ptr<const SessionEntry::Checkpoint>> FindCheckpoint(
    const SessionEntry& entry, const std::string& name) {
  const auto found = entry.checkpoints.find(name);
  if (found == entry.checkpoints.end()) {
    return NoSuchPoint(entry, "has no checkpoint of that name");
  }
  return found->second;
}

absl::StatusOr<SessionPoint> FindRewindPoint(const SessionEntry& entry,
                                             const RewindTarget& target) {
  const int given = (target.checkpoint.empty() ? 0 : 1) + (target.position.has_value() ? 1 : 0) +
                    (target.turns.has_value() ? 1 : 0);
  if (given != 1) {
    return InvalidField("a rewind goes to exactly one of checkpoint, position and turns");
  }
  if (!target.checkpoint.empty()) {
    SSMD_ASSIGN_OR_RETURN(const auto checkpoint, FindCheckpoint(entry, target.checkpoint));
    return WithState(entry, checkpoint->history, checkpoint->point, target.allow_recompute);
  }
  SSMD_ASSIGN_OR_RETURN(SessionPoint point,
                        target.turns.has_value()
                            ? PointTurnsBack(entry, *target.turns)
                            : PointAt(entry, *target.position, target.allow_recompute));
  return WithState(entry, entry.history, std::move(point), target.allow_recompute);
}

absl::StatusOr<SessionPoint> FindForkPoint(const SessionEntry& entry, const ForkOptions& options) {
  if (options.position.has_value() && !options.checkpoint.empty()) {
    return InvalidField("a fork starts from a checkpoint or from a position, not from both");
  }
  // The present and checkpoints are what they are, also where a crash took their states; the
  // child's next turn feeds what is missing again.
  if (!options.checkpoint.empty()) {
    SSMD_ASSIGN_OR_RETURN(const auto checkpoint, FindCheckpoint(entry, options.checkpoint));
    return WithState(entry, checkpoint->history, checkpoint->point, true);
  }
  if (!options.position.has_value() || *options.position == entry.present.position) {
    return entry.present;
  }
  SSMD_ASSIGN_OR_RETURN(SessionPoint point, PointAt(entry, *options.position, false));
  return WithState(entry, entry.history, std::move(point), false);
}

}  // namespace ssmd
