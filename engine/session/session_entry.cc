#include "engine/session/session_entry.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/session/session_entry_rules.h"
#include "engine/session/session_points.h"

namespace ssmd {
namespace {

// `tokens` as a history that shares its blocks with `base` as far as both are the same.
History SharedHistory(const History& base, const TokenLog& tokens) {
  const TokenLog base_tokens = base.Range(0, base.size());
  const auto same =
      std::mismatch(tokens.begin(), tokens.end(), base_tokens.begin(), base_tokens.end(),
                    [](LoggedToken a, LoggedToken b) {
                      return a.token_id() == b.token_id() && a.sampled() == b.sampled();
                    });
  const auto shared = std::distance(tokens.begin(), same.first);
  History history = base;
  history.Truncate(shared);
  history.Append(absl::MakeConstSpan(tokens).subspan(static_cast<size_t>(shared)));
  return history;
}

}  // namespace

absl::StatusOr<SessionEntry> CreateEntry(SessionCreated change) {
  SSMD_RETURN_IF_ERROR(CheckKey(change.key));
  SessionEntry entry;
  entry.key = std::move(change.key);
  entry.model = std::move(change.model);
  entry.model_fingerprint = std::move(change.model_fingerprint);
  entry.lifetime = change.lifetime;
  entry.created_unix_ms = entry.used_unix_ms = change.unix_ms;
  return entry;
}

absl::StatusOr<SessionEntry> ForkEntry(const SessionEntry& parent, SessionForked change) {
  SSMD_RETURN_IF_ERROR(CheckKey(change.key));
  const History* line = &parent.history;
  std::shared_ptr<const SessionEntry::Checkpoint> checkpoint;
  if (!change.checkpoint.empty()) {
    SSMD_ASSIGN_OR_RETURN(checkpoint, FindCheckpoint(parent, change.checkpoint));
    line = &checkpoint->history;
  }
  if (change.position < 0 || change.position > line->size()) {
    return ImpossibleSession(change.key, "it starts at a position that its parent does not have");
  }
  SessionEntry child;
  child.history = *line;
  child.history.Truncate(change.position);
  child.history.Append(change.commit.appended);
  child.present = PointAfter(kRevisionOfFork, child.history.size(), &change.commit);
  SSMD_RETURN_IF_ERROR(CheckPoint(change.key, child.present, child.history.size()));
  if (child.present.state == nullptr) {
    child.present.state = BestState(parent, child.history, child.present.consumed());
  }
  child.anchor = BestState(parent, child.history, child.present.consumed(), true);
  child.key = std::move(change.key);
  child.model = parent.model;
  child.model_fingerprint = parent.model_fingerprint;
  child.parent_id = parent.key.id;
  child.parent_position = change.position;
  child.lifetime = change.lifetime;
  child.created_unix_ms = child.used_unix_ms = change.unix_ms;
  return child;
}

absl::StatusOr<SessionEntry> EntryOfImage(SessionImage image, const ChangeScope& scope) {
  SSMD_RETURN_IF_ERROR(CheckKey(image.key));
  SSMD_RETURN_IF_ERROR(CheckImage(image));
  SessionEntry entry;
  entry.history.Append(image.history);
  entry.present.revision = image.revision;
  entry.present.position = entry.history.size();
  entry.present.pending_tokens = image.pending_tokens;
  entry.present.text_remainder = std::move(image.text_remainder);
  entry.present.state = std::move(image.state);
  for (SessionPoint& point : image.turn_ends) {
    entry.turn_ends.push_back({WithExactState(std::move(point)), ++*scope.uses});
  }
  TrimTurnEnds(&entry, scope);
  for (SessionImage::Checkpoint& checkpoint : image.checkpoints) {
    SessionPoint point = WithExactState(std::move(checkpoint.point));
    const bool recorded = point.state != nullptr && !point.state->stored_id().empty();
    entry.checkpoints[checkpoint.name] =
        std::make_shared<SessionEntry::Checkpoint>(SessionEntry::Checkpoint{
            SharedHistory(entry.history, checkpoint.history), std::move(point), recorded});
  }
  for (TurnResult& result : image.results) KeepResult(&entry, std::move(result), scope.limits);
  if (entry.present.state == nullptr) {
    entry.present.state = BestState(entry, entry.history, entry.present.consumed());
  }
  entry.anchor = BestState(entry, entry.history, entry.present.consumed(), true);
  AdoptAnchor(&entry, entry.present.state, scope);
  entry.key = std::move(image.key);
  entry.model = std::move(image.model);
  entry.model_fingerprint = std::move(image.model_fingerprint);
  entry.parent_id = std::move(image.parent_id);
  entry.parent_position = image.parent_position;
  entry.lifetime = image.lifetime;
  entry.created_unix_ms = image.created_unix_ms;
  entry.used_unix_ms = image.used_unix_ms;
  return entry;
}

}  // namespace ssmd
