#include <algorithm>

#include "engine/session/session_entry.h"
#include "engine/session/session_points.h"

namespace ssmd {
namespace {

PointInfo InfoOf(const std::string& name, const SessionPoint& point) {
  return {name, point.revision, point.position, IsHeld(point)};
}

int64_t SaturatingAdd(int64_t a, int64_t b) {
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

}  // namespace

const TurnResult* FindResult(const SessionEntry& entry, const std::string& request_id) {
  const auto found = std::find_if(
      entry.results.begin(), entry.results.end(),
      [&request_id](const auto& result) { return result->key.request_id == request_id; });
  return found == entry.results.end() ? nullptr : found->get();
}

int64_t ExpiresUnixMs(const SessionEntry& entry) {
  int64_t expires = INT64_MAX;
  const SessionLifetime& lifetime = entry.lifetime;
  if (lifetime.ttl_ms > 0) {
    expires = SaturatingAdd(entry.created_unix_ms, lifetime.ttl_ms);
  }
  if (lifetime.idle_ms > 0) {
    expires = std::min(expires, SaturatingAdd(entry.used_unix_ms, lifetime.idle_ms));
  }
  return expires == INT64_MAX ? 0 : expires;
}

SessionInfo DescribeEntry(const SessionEntry& entry) {
  constexpr int64_t kLastTokens = 16;
  const SessionPoint& present = entry.present;
  SessionInfo info;
  info.session_id = entry.key.id;
  info.model = entry.model;
  info.revision = present.revision;
  info.position = present.position;
  info.pending_tokens = present.pending_tokens;
  for (const LoggedToken token : entry.history.Range(
           std::max(present.position - kLastTokens, int64_t{0}), present.position)) {
    info.last_token_ids.push_back(token.token_id());
  }
  info.history_hash = entry.history.Hash(present.position);
  if (present.state != nullptr) {
    info.tier = present.state->tier();
    info.state_position = present.state->position;
    info.state_bytes = static_cast<int64_t>(present.state->bytes);
  } else if (present.consumed() > 0) {
    info.tier = StateTier::kLost;
  }
  info.parent_id = entry.parent_id;
  info.parent_position = entry.parent_position;
  for (const auto& [name, checkpoint] : entry.checkpoints) {
    info.checkpoints.push_back(InfoOf(name, checkpoint->point));
    const StateRef& state = checkpoint->point.state;
    if (state != nullptr) info.state_bytes += static_cast<int64_t>(state->bytes);
  }
  for (const auto& end : entry.turn_ends) info.turn_ends.push_back(InfoOf({}, end.point));
  info.turn_ends.push_back(InfoOf({}, present));
  info.created_unix_ms = entry.created_unix_ms;
  info.used_unix_ms = entry.used_unix_ms;
  info.expires_unix_ms = ExpiresUnixMs(entry);
  return info;
}

SessionImage ImageOfPoint(const SessionEntry& entry, const std::string& checkpoint) {
  const History* history = &entry.history;
  const SessionPoint* point = &entry.present;
  if (!checkpoint.empty()) {
    const auto& named = *entry.checkpoints.at(checkpoint);
    history = &named.history;
    point = &named.point;
  }
  SessionImage image;
  image.key = entry.key;
  image.model = entry.model;
  image.model_fingerprint = entry.model_fingerprint;
  image.revision = point->revision;
  image.history = history->Range(0, history->size());
  image.pending_tokens = point->pending_tokens;
  image.text_remainder = point->text_remainder;
  image.state = point->state;
  image.parent_id = entry.parent_id;
  image.parent_position = entry.parent_position;
  image.lifetime = entry.lifetime;
  image.created_unix_ms = entry.created_unix_ms;
  image.used_unix_ms = entry.used_unix_ms;
  return image;
}

SessionImage ImageOfEntry(const SessionEntry& entry) {
  SessionImage image = ImageOfPoint(entry, {});
  // A state that the store has, but that no change has said is this session's, may be let go and
  // deleted while the anchor is what the session goes back to: it is the anchor that lasts.
  if (entry.anchor != nullptr) image.state = entry.anchor;
  for (const auto& end : entry.turn_ends) image.turn_ends.push_back(end.point);
  for (const auto& [name, checkpoint] : entry.checkpoints) {
    image.checkpoints.push_back(
        {name, checkpoint->history.Range(0, checkpoint->history.size()), checkpoint->point});
  }
  for (const auto& result : entry.results) image.results.push_back(*result);
  return image;
}

}  // namespace ssmd
