#include "engine/shared/session_copy.h"

#include <type_traits>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"
#include "engine/session/session_change.h"
#include "engine/state/history.h"

namespace ssmd {
namespace {

void DropStates(SessionImage* image) {
  image->state = nullptr;
  for (SessionPoint& point : image->turn_ends) point.state = nullptr;
  for (auto& checkpoint : image->checkpoints) checkpoint.point.state = nullptr;
}

SessionChange WithoutStates(SessionChange change) {
  std::visit(
      [](auto& alternative) {
        using T = std::decay_t<decltype(alternative)>;
        if constexpr (std::is_same_v<T, SessionImage>) {
          DropStates(&alternative);
        } else if constexpr (std::is_same_v<T, SessionCommitted> ||
                             std::is_same_v<T, SessionForked>) {
          alternative.commit.state = nullptr;
        } else if constexpr (std::is_same_v<T, SessionRewound> || std::is_same_v<T, StateStored>) {
          alternative.state = nullptr;
        }
      },
      change);
  return change;
}

StateRef NoState(const std::string& /*stored_id*/, int64_t /*position*/, size_t /*bytes*/) {
  return nullptr;
}

const SessionKey& KeyOf(const SessionChange& change) {
  return std::visit([](const auto& alternative) -> const SessionKey& { return alternative.key; },
                    change);
}

absl::Status Damaged(const SessionKey& key, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("the shared store's copy of session ", key.id, " is damaged: ", what));
}

absl::Status ReplayInto(SessionTable* table, std::string_view record, const SessionKey& key) {
  auto changes = DecodeChanges(record, NoState);
  if (!changes.ok()) return Damaged(key, changes.status().message());
  for (const SessionChange& change : *changes) {
    const SessionKey& of = KeyOf(change);
    if (of.id != key.id || of.tenant != key.tenant) return Damaged(key, "it is of another session");
  }
  const absl::Status status = table->Replay(*std::move(changes));
  return status.ok() ? status : Damaged(key, status.message());
}

}  // namespace

std::string EncodeSessionImage(const FrozenSession& session) {
  SessionImage image = session.Image();
  DropStates(&image);
  return EncodeChanges({std::move(image)});
}

std::string EncodeSessionChange(const SessionChange& change) {
  return EncodeChanges({WithoutStates(change)});
}

absl::StatusOr<SessionImage> DecodeSession(const SharedSession& shared, const SessionKey& key,
                                           const SessionLimits& limits,
                                           const std::vector<ModelOfSessions>& models) {
  SessionTable table(limits, models);
  SSMD_RETURN_IF_ERROR(ReplayInto(&table, shared.image, key));
  for (const std::string& change : shared.changes) {
    SSMD_RETURN_IF_ERROR(ReplayInto(&table, change, key));
  }
  const auto session = table.Freeze(key);
  if (!session.has_value()) return Damaged(key, "there is no session in it");
  return session->Image();
}

void AdoptStates(const std::vector<SharedState>& states, const AdoptState& adopt,
                 SessionImage* image) {
  const auto adopted = [&adopt](const SharedState& state, const TokenLog& tokens,
                                int64_t consumed) -> StateRef {
    if (state.position <= 0 || state.position > consumed) return nullptr;
    History history;
    history.Append(tokens);
    auto made = adopt(state, history.Hash(state.position));
    return made.ok() ? *std::move(made) : nullptr;
  };
  for (const SharedState& state : states) {
    if (state.name.empty()) {
      const auto size = static_cast<int64_t>(image->history.size());
      image->state = adopted(state, image->history, size - image->pending_tokens);
      continue;
    }
    for (auto& checkpoint : image->checkpoints) {
      if (checkpoint.name != state.name || state.position != checkpoint.point.consumed()) continue;
      checkpoint.point.state = adopted(state, checkpoint.history, checkpoint.point.consumed());
    }
  }
}

}  // namespace ssmd
