// Sessions that come from elsewhere.
#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "engine/session/session_errors.h"
#include "engine/shared/session_copy.h"
#include "engine/shared/session_sharing_impl.h"

namespace ssmd {
namespace {

// Between two tries for a session that its owner is asked to give up.
constexpr std::chrono::milliseconds kAskAgain(10);
constexpr std::chrono::milliseconds kAskAgainMax(100);
constexpr std::chrono::milliseconds kTryLater(200);
// What HearWishes waits at a time, and after a failure.
constexpr std::chrono::milliseconds kListen(1000);
constexpr std::chrono::milliseconds kListenAgain(200);
constexpr std::chrono::milliseconds kListenOn(10);
// What has just come stays so long, at least: twice the time in which whoever waits asks again.
constexpr std::chrono::milliseconds kStays(200);
// Sessions whose claims got no answer.
constexpr size_t kDoubtfulMax = 1024;
// How long an owner remembers that a session is wanted.
constexpr std::chrono::seconds kWishLasts(10);

absl::Status Elsewhere(const std::string& id) {
  return WithRetryAfter(
      WithReason(absl::UnavailableError(absl::StrFormat(
                     "session %s is with another replica, which is in the middle of something or "
                     "has just gone: try again",
                     id)),
                 reason::kSessionElsewhere),
      kTryLater);
}

absl::Status Draining() {
  return WithReason(absl::UnavailableError("the server is draining: other replicas go on"),
                    reason::kDraining);
}

}  // namespace

absl::StatusOr<bool> SharingImpl::AwaitTurnToClaim(const SessionKey& key, TimePoint give_up,
                                                   bool* recovered, SessionHold* hold) {
  MutexLock lock(&mutex_);
  for (;;) {
    if (stopping_ || leaving_) return Draining();
    Row* row = Find(key);
    if (!IsRefused() && row != nullptr && row->phase == Phase::kHere) {
      *hold = MakeHold(key, row);
      return false;
    }
    if (!IsRefused() && (row == nullptr || row->phase == Phase::kRecovered)) {
      // Of before a restart; or the own log could not be told that it had gone.
      *recovered = table_->Get(key.tenant, key.id).ok();
      if (row == nullptr) row = MakeRow(key, Phase::kClaiming);
      row->phase = Phase::kClaiming;
      return true;
    }
    if (!changed_.WaitUntil(&mutex_, give_up) && Now() >= give_up) {
      return IsRefused() ? Refused() : Elsewhere(key.id);
    }
  }
}

void SharingImpl::EndClaim(const SessionKey& key, bool recovered) {
  Over none;
  MutexLock lock(&mutex_);
  Row* row = Find(key);
  if (row == nullptr || row->phase != Phase::kClaiming) return;
  if (recovered) {
    row->phase = Phase::kRecovered;
    changed_.NotifyAll();
  } else {
    EraseRow(key, absl::OkStatus(), &none);
  }
}

absl::StatusOr<SessionHold> SharingImpl::Hold(const SessionKey& key,
                                              std::optional<TimePoint> deadline) {
  if (!IsSessionId(key.id)) return SessionNotFound(key.id);
  TimePoint give_up = Now() + limits_.patience;
  if (deadline.has_value()) give_up = std::min(give_up, *deadline);
  Duration pause = kAskAgain;
  for (;;) {
    bool recovered = false;
    SessionHold hold;
    SSMD_ASSIGN_OR_RETURN(const bool claims, AwaitTurnToClaim(key, give_up, &recovered, &hold));
    if (!claims) return hold;
    const absl::StatusOr<bool> here = TryToClaim(key, recovered);
    if (!here.ok() || !*here) EndClaim(key, recovered);
    SSMD_RETURN_IF_ERROR(here.status());
    if (*here) continue;
    const TimePoint again = Now() + pause;
    if (again >= give_up) return Elsewhere(key.id);
    pause = std::min<Duration>(pause * 2, kAskAgainMax);
    MutexLock lock(&mutex_);
    while (!stopping_ && Now() < again) changed_.WaitUntil(&mutex_, again);
  }
}

absl::Status SharingImpl::DeleteDamaged(const SessionKey& key) {
  const absl::Status deleted = store_->Delete(self_, key, kAnyFence);
  bool recovered = false;
  {
    MutexLock lock(&mutex_);
    if (!deleted.ok()) return StoreError("the session is damaged", deleted);
    Row* row = Find(key);
    recovered = row != nullptr && row->phase == Phase::kRecovered;
    if (recovered) row->phase = Phase::kLeaving;
  }
  if (recovered) Lose(key);  // a copy of before a restart, which would take its place
  return absl::OkStatus();
}

absl::StatusOr<bool> SharingImpl::TryToClaim(const SessionKey& key, bool recovered) {
  auto claim = store_->TryClaim(self_, key, /*take_over=*/false);
  bool taken_over = false;
  if (claim.ok()) {
    // A store that was down for a while, or emptied, has forgotten who is alive and what they have:
    // they get the time to say so.
    const auto* other = std::get_if<OwnedElsewhere>(&*claim);
    const bool is_gone = other != nullptr && !other->present;
    const bool is_nowhere = std::holds_alternative<NoSuchSession>(*claim);
    if ((is_gone || is_nowhere) && !IsTrusted(Now())) return false;
    taken_over = is_gone;
    if (taken_over) claim = store_->TryClaim(self_, key, /*take_over=*/true);
  }
  if (absl::IsFailedPrecondition(claim.status())) return false;  // it had no effect
  if (!claim.ok()) {
    MutexLock lock(&mutex_);
    // What is left out is given up when its presence ends, or when it is used here.
    if (doubtful_.size() >= kDoubtfulMax) doubtful_.erase(doubtful_.begin());
    doubtful_.insert(key);
    return StoreError("the session is not here", claim.status());
  }
  {
    MutexLock lock(&mutex_);
    doubtful_.erase(key);
  }
  if (std::holds_alternative<OwnedElsewhere>(*claim)) return false;
  if (auto* shared = std::get_if<SharedSession>(&*claim)) {
    const uint64_t fence = shared->fence;
    if (const absl::Status status = TakeIn(key, std::move(*shared), recovered); !status.ok()) {
      store_->GiveUp(self_, key, fence).IgnoreError();  // others may be able to
      return status;
    }
    MutexLock lock(&mutex_);
    ++totals_.claimed;
    if (taken_over) ++totals_.taken_over;
    return true;
  }
  if (!recovered) return SessionNotFound(key.id);
  Enter(key, nullptr, /*as_written=*/false);
  return true;
}

absl::Status SharingImpl::TakeIn(const SessionKey& key, SharedSession shared, bool recovered) {
  SSMD_ASSIGN_OR_RETURN(SessionImage image, DecodeSession(shared, key, table_->limits(), models_));
  if (recovered) {
    // Nobody else wrote since this replica did, and it wrote no more than it has.
    const auto own = table_->Get(key.tenant, key.id);
    if (own.ok() && shared.writer == self_.id && own->revision >= image.revision) {
      Enter(key, &shared, /*as_written=*/false);
      return absl::OkStatus();
    }
  }
  SSMD_RETURN_IF_ERROR(hooks_.check_image(image));
  AdoptStates(
      shared.states,
      [this, &image](const SharedState& state, uint64_t history_hash) {
        return hooks_.adopt_state(image.model, state, history_hash);
      },
      &image);
  if (recovered) RemoveLocal(key);
  SSMD_ASSIGN_OR_RETURN(Proposal proposal, table_->ProposeAdopt(std::move(image)));
  SSMD_RETURN_IF_ERROR(local_->WriteAndWait(std::move(proposal), Durability::kProcess).status());
  if (local_->lasting()) {
    // By being who wrote last its copy is believed after a restart: before anybody uses it. A store
    // that has just lost the session gets it back with the next write.
    const absl::Status named = WriteNothing({key, self_, shared.fence, limits_.keep, {}});
    if (!named.ok() && !absl::IsNotFound(named)) {
      RemoveLocal(key);
      if (absl::IsAborted(named)) return Elsewhere(key.id);
      MutexLock lock(&mutex_);
      return StoreError("the session is not here", named);
    }
  }
  Enter(key, &shared, /*as_written=*/true);
  return absl::OkStatus();
}

// The claimed session is in the table now. `as_written`: as the store has it; else the store is to
// get what the table has.
void SharingImpl::Enter(const SessionKey& key, const SharedSession* shared, bool as_written) {
  std::map<std::string, StateMark> states;
  if (as_written) {
    if (const auto frozen = table_->Freeze(key); frozen.has_value()) {
      for (const auto& held : frozen->States()) {
        states[held.checkpoint] = {held.state->position, held.state->history_hash()};
      }
    }
  }
  MutexLock lock(&mutex_);
  Row* row = Find(key);
  if (row == nullptr) return;
  row->phase = Phase::kHere;
  row->came = Now();
  if (shared != nullptr) {
    row->fence = shared->fence;
    row->noted = row->written = shared->last_number();
    row->image_bytes = static_cast<int64_t>(shared->image.size());
    for (const std::string& change : shared->changes) {
      row->record_bytes += static_cast<int64_t>(change.size());
    }
  }
  row->needs_image = !as_written;
  row->states = std::move(states);
  if (!as_written) {
    row->noted = row->written + 1;
    row->states_due = row->dirty_since = Now();
    Schedule(key, row, Now());
  }
  if (leaving_) GiveWhenIdle(key, row);  // it was on its way when the others were given up
  changed_.NotifyAll();
}

void SharingImpl::RemoveLocal(const SessionKey& key) {
  const auto session = table_->Get(key.tenant, key.id);
  if (!session.ok()) return;
  table_->NoteMoved(key.id);
  bool busy = false;
  auto proposal = table_->ProposeDelete(key.tenant, key.id, std::nullopt, &busy);
  if (!proposal.ok()) return;
  // Where the own log fails, the session stays in the table and is looked at like a recovered one.
  local_->WriteAndWait(*std::move(proposal), Durability::kProcess).status().IgnoreError();
  hooks_.on_gone(key, session->model);
}

void SharingImpl::Hear(const SessionKey& key) {
  SessionHold hold;
  bool unknown = false;
  {
    MutexLock lock(&mutex_);
    const Row* row = Find(key);
    // A wish for what is here no more came late, unless it may be ours for all we know.
    if (row == nullptr && doubtful_.erase(key) == 0) return;
    unknown = row == nullptr || row->phase == Phase::kRecovered;
  }
  if (unknown) {
    auto held = Hold(key, Now() + kListen);
    if (!held.ok()) return;
    hold = *std::move(held);
  }
  MutexLock lock(&mutex_);
  Row* row = Find(key);
  if (row == nullptr || row->phase != Phase::kHere) return;
  // So too one that came before it was claimed back. Who still waits asks again.
  if (!unknown && row->came.has_value() && Now() - *row->came < kStays) return;
  row->wanted_until = Now() + kWishLasts;
  Schedule(key, row, Now());
}

void SharingImpl::HearWishes() {
  for (;;) {
    {
      // Another process's wishes are not this one's to hear.
      MutexLock lock(&mutex_);
      while (!stopping_ && (IsRefused() || !last_well_.has_value())) changed_.Wait(&mutex_);
      if (stopping_) return;
    }
    auto wishes = store_->Wanted(self_, kListen);
    for (const SessionKey& key : wishes.ok() ? *wishes : std::vector<SessionKey>{}) Hear(key);
    MutexLock lock(&mutex_);
    const TimePoint next = Now() + (wishes.ok() ? kListenOn : kListenAgain);
    while (!stopping_ && Now() < next) changed_.WaitUntil(&mutex_, next);
    if (stopping_) return;
  }
}

}  // namespace ssmd
