// ServingEngine: what is done now and then, and at the end.
#include <algorithm>
#include <chrono>
#include <iterator>
#include <limits>
#include <utility>

#include "engine/base/errors.h"
#include "engine/base/mutex.h"
#include "engine/base/status_macros.h"
#include "engine/serving_engine.h"

namespace ssmd {
namespace {

constexpr size_t kStoredAtOnce = 4;
constexpr size_t kStoredEachTime = 256;

// Counts down what was started. Shared with those who finish it, who may come after the wait is
// given up.
class Countdown {
 public:
  explicit Countdown(size_t count) : left_(count) {}
  void Done(const absl::Status& status) {
    MutexLock lock(&mutex_);
    if (!status.ok()) status_ = UnsharedCopy(status);
    if (--left_ == 0) condition_.NotifyAll();
  }
  absl::Status Wait(TimePoint deadline) {
    MutexLock lock(&mutex_);
    while (left_ > 0) {
      if (!condition_.WaitUntil(&mutex_, deadline)) {
        return absl::DeadlineExceededError("states were still being written");
      }
    }
    return std::exchange(status_, absl::OkStatus());  // nobody shares it
  }

 private:
  Mutex mutex_;
  CondVar condition_;
  size_t left_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

// What has to be written now: what is over the limit of dirty bytes, what a restart would replay
// for too long, and what has been idle for long enough. And, all of it, what the store has already
// because its memory was needed: that costs a record, without which a restart would not find it and
// the session's older copy could not go.
std::vector<SessionTable::Unstored> Due(std::vector<SessionTable::Unstored> all,
                                        const StateDirOptions& options) {
  const auto copied = std::partition(
      all.begin(), all.end(), [](const auto& state) { return state.state->stored_id().empty(); });
  std::vector<SessionTable::Unstored> due(std::make_move_iterator(copied),
                                          std::make_move_iterator(all.end()));
  all.erase(copied, all.end());
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a.idle_ms > b.idle_ms; });
  int64_t dirty = 0;
  for (const auto& state : all) dirty += static_cast<int64_t>(state.state->bytes);
  const int64_t idle_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(options.store_after).count();
  const size_t due_max = due.size() + kStoredEachTime;
  for (auto& state : all) {
    const bool over = dirty > options.dirty_bytes;
    if (!over && state.replay_tokens <= options.replay_tokens && state.idle_ms < idle_ms) continue;
    dirty -= static_cast<int64_t>(state.state->bytes);
    due.push_back(std::move(state));
    if (due.size() == due_max) break;
  }
  return due;
}

}  // namespace

absl::Status ServingEngine::DeleteExpired() {
  absl::Status first;
  for (const SessionKey& key : sessions_->Expired()) {
    bool busy = false;
    auto proposal = sessions_->ProposeDelete(key.tenant, key.id, std::nullopt, &busy);
    if (!proposal.ok()) continue;  // somebody was faster
    // It may have been used since it was found; nothing commits while the proposal is out.
    const auto session = sessions_->Get(key.tenant, key.id);
    const bool used = session.ok() && session->expires_unix_ms > UnixMillis();
    if (!busy && !used) first.Update(Write(std::move(proposal)).status());
  }
  return first;
}

absl::Status ServingEngine::StoreStates(std::vector<SessionTable::Unstored> states,
                                        TimePoint deadline) {
  absl::Status first;
  for (size_t begin = 0; begin < states.size(); begin += kStoredAtOnce) {
    const size_t end = std::min(begin + kStoredAtOnce, states.size());
    const auto countdown = std::make_shared<Countdown>(end - begin);
    for (size_t i = begin; i < end; ++i) {
      const auto model = FindModel(states[i].model);
      if (!model.ok()) {
        countdown->Done(absl::OkStatus());
        continue;
      }
      models_[*model]->tiers->Store(
          states[i].state, [countdown](const absl::Status& status) { countdown->Done(status); });
    }
    first.Update(countdown->Wait(deadline));
    for (size_t i = begin; i < end; ++i) {
      if (states[i].state->stored_id().empty()) continue;
      // A session that is gone, or has gone on, needs it no more.
      auto proposal =
          sessions_->ProposeStored(states[i].key, states[i].checkpoint, states[i].state);
      if (proposal.ok() && *proposal) {
        first.Update(log_->WriteAndWait(*std::move(proposal), Durability::kProcess).status());
      }
    }
    if (absl::IsDeadlineExceeded(first)) break;
  }
  return first;
}

absl::Status ServingEngine::Maintain() {
  absl::Status first = DeleteExpired();
  if (store_ == nullptr) return first;
  for (const auto& model : models_) model->tiers->RetryStores();
  const auto unstored = sessions_->FindUnstored(std::numeric_limits<size_t>::max());
  first.Update(StoreStates(Due(unstored, state_dir_options_), TimePoint::max()));
  first.Update(log_->Maintain());
  return first;
}

absl::Status ServingEngine::StoreAll(TimePoint deadline) {
  if (store_ == nullptr) return absl::OkStatus();
  return StoreStates(sessions_->FindUnstored(std::numeric_limits<size_t>::max()), deadline);
}

absl::Status ServingEngine::LeaveReplicas(TimePoint deadline) {
  return sharing_ == nullptr ? absl::OkStatus() : sharing_->Leave(deadline);
}

EngineFigures ServingEngine::Figures() const {
  EngineFigures figures;
  figures.log = log_->figures();
  if (store_ != nullptr) figures.store = store_->figures();
  if (sharing_ != nullptr) figures.sharing = sharing_->figures();
  figures.fast_kernels = device_->fast_kernels();
  return figures;
}

}  // namespace ssmd
