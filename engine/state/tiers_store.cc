// StateTiers: to the store and back, and what other threads ask for.
#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/secure_random.h"
#include "engine/base/status_macros.h"
#include "engine/state/tiered_state.h"
#include "engine/state/tiers.h"

namespace ssmd {
namespace {

constexpr int64_t kLoadsAtOnce = 8;   // of turns that wait for them
constexpr int64_t kStoresAtOnce = 4;  // to make room

}  // namespace

// --- Loading ---

StateTiers::Readiness StateTiers::Prepare(const StateRef& ref) {
  const auto state = std::static_pointer_cast<TieredState>(ref);
  if (state->arriving != nullptr) Tend();
  if (state->slot || state->host != nullptr) {
    state->used = true;
    return Readiness::kReady;
  }
  if (state->loading) return Readiness::kLoading;
  if (state->stored_id().empty() || store_ == nullptr) {
    state->NoteLost();
    return Readiness::kLost;
  }
  if (loading_ < kLoadsAtOnce && ChargeHost(/*relieve=*/true)) StartLoad(state);
  return Readiness::kLoading;
}

SnapshotLimits StateTiers::LimitsOf(const TieredState& state) const {
  SnapshotLimits limits;
  limits.state_bytes = state.bytes;
  return limits;
}

// The host memory that it will take is charged.
void StateTiers::StartLoad(const std::shared_ptr<TieredState>& state) {
  state->loading = true;
  ++loading_;
  store_->Get(state->stored_id(), LimitsOf(*state),
              [this, state, inbox = inbox_](absl::StatusOr<Snapshot> loaded) {
                inbox->Ask([this, state, loaded = std::move(loaded)]() mutable {
                  FinishLoad(state.get(), std::move(loaded));
                });
              });
}

absl::Status StateTiers::CheckLoaded(const TieredState& state, const Snapshot& loaded) const {
  SSMD_RETURN_IF_ERROR(CheckIdentity(loaded.identity, options_.identity, /*allow_profile=*/false));
  if (loaded.state == nullptr || loaded.state_position != state.position ||
      (state.history_hash() != 0 && loaded.history_hash != state.history_hash())) {
    return absl::DataLossError(
        absl::StrFormat("the stored state %s is not the one that was stored", state.stored_id()));
  }
  return absl::OkStatus();
}

void StateTiers::FinishLoad(TieredState* state, absl::StatusOr<Snapshot> loaded) {
  state->loading = false;
  --loading_;
  absl::Status status = loaded.ok() ? CheckLoaded(*state, *loaded) : loaded.status();
  if (status.ok()) {
    EnterHost(state, std::make_shared<HostCopy>(std::move(loaded->state)));
    return;
  }
  options_.host->Return(bytes_per_state());
  // Without its stored copy it is lost: what was read from it is read again from the history.
  if (options_.on_unreadable && !absl::IsCancelled(status)) {
    options_.on_unreadable(state->stored_id(), status);
  }
  state->NoteLost();
  ++evictions_[static_cast<size_t>(StateTier::kLost)];
  if (options_.on_eviction) options_.on_eviction(StateTier::kLost);
}

// --- Storing ---

void StateTiers::StoreDirty() {
  if (store_ == nullptr || store_failed_) return;
  for (TieredState* state : in_host_) {
    if (storing_ >= kStoresAtOnce) return;
    if (state->storing || !state->stored_id().empty() || state->history_hash() == 0) continue;
    // A state that was let go a moment ago has no reference left to lend.
    if (const auto held = state->weak_from_this().lock()) StartStore(held);
  }
}

void StateTiers::StartStore(const std::shared_ptr<TieredState>& state) {
  state->storing = true;
  ++storing_;
  Await(InMemory(*state), [this, state](StateBytes bytes) { Put(state, std::move(bytes)); });
}

void StateTiers::Put(const std::shared_ptr<TieredState>& state, StateBytes bytes) {
  const std::string id = SecureRandomId();
  if (store_ == nullptr) {
    FinishStore(state.get(), id, absl::CancelledError("the store is closed"));
    return;
  }
  if (bytes == nullptr) {
    FinishStore(state.get(), id, absl::ResourceExhaustedError("no memory to store a state from"));
    return;
  }
  Snapshot snapshot;
  snapshot.identity = options_.identity;
  snapshot.state_position = state->position;
  snapshot.history_hash = state->history_hash();
  snapshot.state = std::move(bytes);
  store_->Put(id, std::move(snapshot), [this, state, id, inbox = inbox_](absl::Status status) {
    inbox->Ask(
        [this, state, id, status = std::move(status)] { FinishStore(state.get(), id, status); });
  });
}

void StateTiers::FinishStore(TieredState* state, const std::string& id,
                             const absl::Status& status) {
  state->storing = false;
  --storing_;
  if (status.ok()) {
    state->NoteStored(id);
    SetTier(state);
  } else {
    store_failed_ = true;
  }
  for (StoreDone& done : std::exchange(state->store_waiters, {})) done(status);
}

// --- For other threads ---

void StateTiers::Store(StateRef ref, StoreDone done) {
  inbox_->Ask([this, state = std::static_pointer_cast<TieredState>(std::move(ref)),
               done = std::move(done)]() mutable {
    if (!state->stored_id().empty()) {
      done(absl::OkStatus());
    } else if (store_ == nullptr) {
      done(absl::FailedPreconditionError("there is no state directory"));
    } else if (state->host == nullptr && !state->slot) {
      done(absl::DataLossError("the state is lost"));
    } else {
      state->store_waiters.push_back(std::move(done));
      if (!state->storing) StartStore(state);
    }
  });
}

void StateTiers::RetryStores() {
  inbox_->Ask([this] { store_failed_ = false; });
}

void StateTiers::Fetch(StateRef ref, FetchDone done) {
  inbox_->Ask([this, state = std::static_pointer_cast<TieredState>(std::move(ref)),
               done = std::move(done)]() mutable { StartFetch(state, std::move(done)); });
}

void StateTiers::StartFetch(const std::shared_ptr<TieredState>& state, FetchDone done) {
  Await(InMemory(*state), [this, state, done = std::move(done)](StateBytes bytes) mutable {
    if (bytes != nullptr) {
      done(std::move(bytes));
    } else {
      FetchStored(state, std::move(done));
    }
  });
}

void StateTiers::FetchStored(const std::shared_ptr<TieredState>& state, FetchDone done) {
  if (state->stored_id().empty() || store_ == nullptr) {
    done(absl::DataLossError("the state is lost: its session's next turn makes it again"));
    return;
  }
  store_->Get(state->stored_id(), LimitsOf(*state),
              [this, state, done = std::move(done)](absl::StatusOr<Snapshot> loaded) {
                const absl::Status status =
                    loaded.ok() ? CheckLoaded(*state, *loaded) : loaded.status();
                if (status.ok()) {
                  done(std::move(loaded->state));
                } else {
                  done(status);
                }
              });
}

// --- The step thread's round ---

void StateTiers::Tend() {
  std::vector<std::shared_ptr<TieredState>> arrived;
  std::vector<std::function<void()>> requests;
  {
    MutexLock lock(&inbox_->mutex);
    arrived.swap(inbox_->arrived);
    requests.swap(inbox_->requests);
  }
  for (const auto& state : arrived) {
    state->registered = true;
    ++held_;
    if (state->arriving == nullptr) continue;
    // What was imported was accepted within limits of its own and has to be somewhere.
    if (!ChargeHost(/*relieve=*/true)) options_.host->Charge(bytes_per_state());
    EnterHost(state.get(), std::make_shared<HostCopy>(std::exchange(state->arriving, nullptr)));
  }
  arrived.clear();
  for (auto& request : requests) request();
  requests.clear();
  TendCopies();
  Reap();
  if (options_.pool->device().overlaps_downloads()) CopyAhead();
}

void StateTiers::Await(HostCopyRef copy, BytesUser user) {
  if (copy == nullptr) {
    user(nullptr);
  } else if (copy->arrived()) {
    user(copy->bytes());
  } else {
    awaited_.emplace_back(std::move(copy), std::move(user));
  }
}

// What is awaited is looked for until it is there, in rounds without a step if need be.
void StateTiers::TendCopies() {
  copies_.Settle();
  const auto waits = std::partition(awaited_.begin(), awaited_.end(),
                                    [](const auto& entry) { return !entry.first->arrived(); });
  std::vector<std::pair<HostCopyRef, BytesUser>> arrived(std::make_move_iterator(waits),
                                                         std::make_move_iterator(awaited_.end()));
  awaited_.erase(waits, awaited_.end());
  for (auto& [copy, user] : arrived) user(copy->bytes());
  if (!awaited_.empty() && options_.wake) options_.wake();
  const int64_t kept = options_.host->used() + static_cast<int64_t>(copies_.idle_bytes());
  if (kept > options_.host->limit()) copies_.TrimIdle();
}

}  // namespace ssmd
