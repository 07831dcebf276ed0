#include <deque>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/session/session_entry.h"
#include "engine/session/session_entry_rules.h"
#include "engine/session/session_points.h"

namespace ssmd {
namespace {

// OK for the revision after the entry's, and for one that it has had.
absl::Status CheckFollows(const SessionEntry& entry, uint64_t revision) {
  if (revision <= entry.present.revision + 1) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("a change to revision %d of session %s follows revision %d: what is between "
                      "is missing",
                      revision, entry.key.id, entry.present.revision));
}

// A change that leaves the revision as it is belongs to exactly that one.
absl::Status CheckBelongs(const SessionEntry& entry, uint64_t revision) {
  if (revision <= entry.present.revision) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrFormat(
      "a change of revision %d of session %s follows revision %d: what is between is "
      "missing",
      revision, entry.key.id, entry.present.revision));
}

void PushTurnEnd(SessionEntry* entry, const ChangeScope& scope) {
  scope.released->push_back(entry->present.state);
  entry->turn_ends.push_back({WithExactState(std::move(entry->present)), ++*scope.uses});
}

// Of the turn ends those that are of `line`, too, and before a point of it.
void KeepTurnEndsBefore(SessionEntry* entry, const SessionPoint& point, const History& line,
                        const ChangeScope& scope) {
  std::deque<SessionEntry::TurnEnd> kept;
  for (SessionEntry::TurnEnd& end : entry->turn_ends) {
    const auto place = std::pair(end.point.position, end.point.consumed());
    if (place < std::pair(point.position, point.consumed()) &&
        SharesBeginning(entry->history, line, end.point.position)) {
      kept.push_back(std::move(end));
    } else {
      scope.released->push_back(std::move(end.point.state));
    }
  }
  entry->turn_ends = std::move(kept);
}

}  // namespace

absl::Status ChangeEntry(SessionEntry* entry, SessionCommitted&& change, const ChangeScope& scope) {
  SSMD_RETURN_IF_ERROR(CheckFollows(*entry, change.revision));
  if (change.revision <= entry->present.revision) return absl::OkStatus();
  SSMD_RETURN_IF_ERROR(CheckCommit(entry->history.size(), change.commit));
  entry->history.Append(change.commit.appended);
  SessionPoint point = PointAfter(change.revision, entry->history.size(), &change.commit);
  if (point.state == nullptr) {
    point.state = BestState(*entry, entry->history, point.consumed());
  }
  PushTurnEnd(entry, scope);
  entry->present = std::move(point);
  TrimTurnEnds(entry, scope);
  if (change.result.has_value()) KeepResult(entry, *std::move(change.result), scope.limits);
  entry->used_unix_ms = change.unix_ms;
  return absl::OkStatus();
}

absl::Status ChangeEntry(SessionEntry* entry, SessionRewound&& change, const ChangeScope& scope) {
  SSMD_RETURN_IF_ERROR(CheckFollows(*entry, change.revision));
  if (change.revision <= entry->present.revision) return absl::OkStatus();
  const History* line = &entry->history;
  std::shared_ptr<const SessionEntry::Checkpoint> checkpoint;
  if (!change.checkpoint.empty()) {
    SSMD_ASSIGN_OR_RETURN(checkpoint, FindCheckpoint(*entry, change.checkpoint));
    line = &checkpoint->history;
    if (change.position != line->size()) {
      return ImpossibleSession(entry->key, "it went back to a checkpoint at another position");
    }
  }
  SessionPoint point;
  point.revision = change.revision;
  point.position = change.position;
  point.pending_tokens = change.pending_tokens;
  point.text_remainder = std::move(change.text_remainder);
  point.state = std::move(change.state);
  SSMD_RETURN_IF_ERROR(CheckPoint(entry->key, point, line->size()));
  if (point.state == nullptr) point.state = BestState(*entry, *line, point.consumed());
  StateRef anchor = BestState(*entry, *line, point.consumed(), true);

  PushTurnEnd(entry, scope);
  KeepTurnEndsBefore(entry, point, *line, scope);
  TrimTurnEnds(entry, scope);
  if (checkpoint != nullptr) {
    entry->history = checkpoint->history;
  } else {
    entry->history.Truncate(point.position);
  }
  entry->present = std::move(point);
  scope.released->push_back(std::exchange(entry->anchor, std::move(anchor)));
  entry->used_unix_ms = change.unix_ms;
  return absl::OkStatus();
}

absl::Status ChangeEntry(SessionEntry* entry, SessionCheckpointed&& change,
                         const ChangeScope& scope) {
  SSMD_RETURN_IF_ERROR(CheckBelongs(*entry, change.revision));
  if (change.revision < entry->present.revision) return absl::OkStatus();
  std::shared_ptr<const SessionEntry::Checkpoint> made;
  if (!change.remove) {
    SessionPoint point = WithExactState(entry->present);
    const bool recorded = point.state == entry->anchor;
    made = std::make_shared<SessionEntry::Checkpoint>(
        SessionEntry::Checkpoint{entry->history, std::move(point), recorded});
  }
  const auto old = entry->checkpoints.find(change.name);
  if (old != entry->checkpoints.end()) {
    scope.released->push_back(old->second->point.state);
    entry->checkpoints.erase(old);
  }
  if (made != nullptr) entry->checkpoints.emplace(std::move(change.name), std::move(made));
  return absl::OkStatus();
}

// A state that the store has is given to every point that has none and that it fits: after a crash
// it is what is left.
absl::Status ChangeEntry(SessionEntry* entry, StateStored&& change, const ChangeScope& scope) {
  SSMD_RETURN_IF_ERROR(CheckBelongs(*entry, change.revision));
  if (change.revision < entry->present.revision || change.state == nullptr) {
    return absl::OkStatus();
  }
  const StateRef& state = change.state;
  const History* line = &entry->history;
  std::shared_ptr<const SessionEntry::Checkpoint> named;
  if (!change.checkpoint.empty()) {
    SSMD_ASSIGN_OR_RETURN(named, FindCheckpoint(*entry, change.checkpoint));
    line = &named->history;
  }
  if (state->position < 1 || state->position > line->size()) {
    return ImpossibleSession(entry->key, "a stored state is of more tokens than there are");
  }
  SessionPoint& present = entry->present;
  if (state->position <= present.consumed() &&
      SharesBeginning(*line, entry->history, state->position)) {
    if (present.state == nullptr || present.state->position < state->position) {
      scope.released->push_back(std::exchange(present.state, state));
    }
    AdoptAnchor(entry, state, scope);
  }
  for (auto& [name, checkpoint] : entry->checkpoints) {
    const bool has_it = checkpoint->point.state == state;
    const bool wants_it = !IsHeld(checkpoint->point) &&
                          checkpoint->point.consumed() == state->position &&
                          SharesBeginning(*line, checkpoint->history, state->position);
    if (!wants_it && (!has_it || checkpoint->recorded)) continue;
    auto found = std::make_shared<SessionEntry::Checkpoint>(*checkpoint);
    found->point.state = state;
    found->recorded = true;
    checkpoint = std::move(found);
  }
  return absl::OkStatus();
}

absl::Status ChangeEntry(SessionEntry* entry, ResultKept&& change, const ChangeScope& scope) {
  if (FindResult(*entry, change.result.key.request_id) != nullptr) return absl::OkStatus();
  KeepResult(entry, std::move(change.result), scope.limits);
  return absl::OkStatus();
}

}  // namespace ssmd
