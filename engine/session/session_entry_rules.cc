#include "engine/session/session_entry_rules.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/session/session_errors.h"
#include "engine/session/session_points.h"

namespace ssmd {
namespace {

// So that an image cannot bring a revision that has none after it.
constexpr uint64_t kRevisionMax = uint64_t{1} << 62;

int64_t BytesOf(const TurnResult& result) {
  size_t bytes = sizeof(TurnResult) + result.key.request_id.size();
  for (const ChoiceResult& choice : result.choices) {
    bytes += sizeof(ChoiceResult) + choice.stop_reason.size() + choice.text.size() +
             choice.session_id.size() +
             (choice.token_ids.size() + choice.history_token_ids.size()) * sizeof(int32_t);
  }
  return static_cast<int64_t>(bytes);
}

}  // namespace

absl::Status ImpossibleSession(const SessionKey& key, std::string_view what) {
  return absl::DataLossError(
      absl::StrFormat("what is recorded of %s cannot be: %s",
                      IsSessionId(key.id) ? absl::StrCat("session ", key.id) : "a session",
                      absl::string_view(what.data(), what.size())));
}

absl::Status CheckKey(const SessionKey& key) {
  return IsSessionId(key.id) ? absl::OkStatus() : ImpossibleSession(key, "its id is none");
}

absl::Status CheckPoint(const SessionKey& key, const SessionPoint& point, int64_t history_size) {
  if (point.position < 0 || point.position > history_size) {
    return ImpossibleSession(key, "it is at a position that its history does not have");
  }
  if (point.pending_tokens < 0 || point.pending_tokens > point.position) {
    return ImpossibleSession(key, "more tokens are pending than there are");
  }
  if (point.state != nullptr &&
      (point.state->position < 1 || point.state->position > point.consumed())) {
    return ImpossibleSession(key, "its state has consumed tokens that are not in its history");
  }
  return absl::OkStatus();
}

SessionPoint PointAfter(uint64_t revision, int64_t position, SessionCommit* commit) {
  SessionPoint point;
  point.revision = revision;
  point.position = position;
  point.pending_tokens = commit->pending_tokens;
  point.text_remainder = std::move(commit->text_remainder);
  point.state = std::move(commit->state);
  return point;
}

SessionPoint WithExactState(SessionPoint point) {
  if (!IsHeld(point)) point.state = nullptr;
  return point;
}

void AdoptAnchor(SessionEntry* entry, const StateRef& state, const ChangeScope& scope) {
  if (state == nullptr || state == entry->anchor || state->stored_id().empty()) return;
  if (entry->anchor != nullptr) {
    const auto rank = [&](const StateRef& of) {
      return std::tuple(!of->lost(), of->position, of == entry->present.state);
    };
    if (rank(entry->anchor) >= rank(state)) return;
  }
  scope.released->push_back(std::exchange(entry->anchor, state));
}

void TrimTurnEnds(SessionEntry* entry, const ChangeScope& scope) {
  auto& ends = entry->turn_ends;
  while (ends.size() > static_cast<size_t>(std::max(scope.limits.turn_ends, 0))) {
    scope.released->push_back(std::move(ends.front().point.state));
    ends.pop_front();
  }
  int held = 0;
  for (auto end = ends.rbegin(); end != ends.rend(); ++end) {
    if (end->point.state == nullptr || ++held <= scope.limits.turn_end_states) continue;
    scope.released->push_back(std::exchange(end->point.state, nullptr));
  }
}

void KeepResult(SessionEntry* entry, TurnResult result, const SessionLimits& limits) {
  if (FindResult(*entry, result.key.request_id) != nullptr) return;
  auto& results = entry->results;
  entry->result_bytes += BytesOf(result);
  results.push_back(std::make_shared<const TurnResult>(std::move(result)));
  while (results.size() > static_cast<size_t>(std::max(limits.results, 1))) {
    entry->result_bytes -= BytesOf(*results.front());
    results.pop_front();
  }
  for (auto old = results.begin();
       entry->result_bytes > limits.result_bytes && std::next(old) != results.end(); ++old) {
    if (IsWithoutAnswer(**old)) continue;
    entry->result_bytes -= BytesOf(**old);
    TurnResult rest;
    rest.key = (*old)->key;
    rest.base_revision = (*old)->base_revision;
    entry->result_bytes += BytesOf(rest);
    *old = std::make_shared<const TurnResult>(std::move(rest));
  }
}

absl::Status CheckCommit(int64_t base_position, const SessionCommit& commit) {
  SessionPoint point;
  point.position = base_position + static_cast<int64_t>(commit.appended.size());
  point.pending_tokens = commit.pending_tokens;
  point.state = commit.state;
  return CheckPoint({}, point, point.position);
}

absl::Status CheckImage(const SessionImage& image) {
  if (image.revision > kRevisionMax) {
    return ImpossibleSession(image.key, "its revision is too large");
  }
  const auto size = static_cast<int64_t>(image.history.size());
  SessionPoint present;
  present.position = size;
  present.pending_tokens = image.pending_tokens;
  present.state = image.state;
  SSMD_RETURN_IF_ERROR(CheckPoint(image.key, present, size));
  int64_t previous = 0;
  for (const SessionPoint& end : image.turn_ends) {
    SSMD_RETURN_IF_ERROR(CheckPoint(image.key, end, size));
    if (end.position < previous)
      return ImpossibleSession(image.key, "its turn ends are out of order");
    previous = end.position;
  }
  for (const SessionImage::Checkpoint& checkpoint : image.checkpoints) {
    const auto length = static_cast<int64_t>(checkpoint.history.size());
    SSMD_RETURN_IF_ERROR(CheckPoint(image.key, checkpoint.point, length));
    if (checkpoint.point.position != length) {
      return ImpossibleSession(image.key, "a checkpoint is not at the end of its history");
    }
  }
  return absl::OkStatus();
}

}  // namespace ssmd
