#include "engine/shared/shared_session_log.h"

#include <algorithm>
#include <memory>
#include <type_traits>
#include <utility>
#include <variant>

#include "engine/base/errors.h"
#include "engine/shared/session_copy.h"

namespace ssmd {
namespace {

// What others have to know of a proposal's changes. Which states the own store has is not theirs.
std::vector<SessionSharing::Change> Describe(const std::vector<SessionChange>& changes) {
  using Kind = SessionSharing::Change::Kind;
  std::vector<SessionSharing::Change> described;
  for (const SessionChange& change : changes) {
    std::visit(
        [&](const auto& alternative) {
          using T = std::decay_t<decltype(alternative)>;
          if constexpr (std::is_same_v<T, SessionCreated> || std::is_same_v<T, SessionForked> ||
                        std::is_same_v<T, SessionImage>) {
            described.push_back({alternative.key, Kind::kMade, {}});
          } else if constexpr (std::is_same_v<T, SessionDeleted>) {
            described.push_back({alternative.key, Kind::kDeleted, {}});
          } else if constexpr (!std::is_same_v<T, StateStored>) {
            described.push_back({alternative.key, Kind::kChanged, EncodeSessionChange(change)});
          }
        },
        change);
  }
  return described;
}

}  // namespace

void SharedSessionLog::Write(Proposal proposal, Durability durability, Done done) {
  // Shared with callbacks, which have to be copyable.
  struct Pending {
    std::vector<SessionSharing::Change> changes;
    std::vector<SessionHold> holds;  // of the sessions, until the changes were noted
    Done done;
    absl::StatusOr<std::vector<SessionInfo>> result;
  };
  auto pending = std::make_shared<Pending>();
  pending->changes = Describe(proposal.changes());
  pending->done = std::move(done);
  absl::StatusOr<std::vector<SessionHold>> holds = sharing_->HoldToChange(pending->changes);
  if (!holds.ok()) return pending->done(std::move(holds).status());
  pending->holds = *std::move(holds);
  const bool makes_some = std::any_of(
      pending->changes.begin(), pending->changes.end(),
      [](const auto& change) { return change.kind == SessionSharing::Change::Kind::kMade; });
  const auto written = [this, durability, makes_some, pending](auto result) {
    const std::vector<SessionHold> until_noted = std::move(pending->holds);
    if (!result.ok() || pending->changes.empty()) return pending->done(std::move(result));
    const bool replicated = durability == Durability::kReplicated;
    // A replica that others may think dead has to hear that it is not, where it can. And the first
    // call of a new session may be at another one, which finds it in the store or not at all.
    if (!replicated && !makes_some && !sharing_->may_have_lost()) {
      sharing_->Note(std::move(pending->changes), nullptr);
      return pending->done(std::move(result));
    }
    pending->result = std::move(result);
    sharing_->Note(std::move(pending->changes), [pending, replicated](const absl::Status& status) {
      const bool told = status.ok() || (!replicated && ReasonOf(status) != reason::kSessionMoved);
      if (told) return pending->done(std::move(pending->result));
      pending->done(status);
    });
  };
  MutexLock order(&order_mutex_);
  local_->Write(std::move(proposal), durability, written);
}

}  // namespace ssmd
