// Internal to StateTiers: a held state with what is known of its bytes, and the inbox by which
// other threads reach the step thread.
#ifndef SSMD_ENGINE_STATE_TIERED_STATE_H_
#define SSMD_ENGINE_STATE_TIERED_STATE_H_

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/state/tiers.h"

namespace ssmd {

// The step thread's, but for what HeldState lets everyone see.
class TieredState final : public HeldState, public std::enable_shared_from_this<TieredState> {
 public:
  TieredState(int64_t position_in, size_t bytes_in, std::string stored_id)
      : HeldState(position_in, bytes_in, std::move(stored_id)) {}

  void NoteTier(StateTier tier) { set_tier(tier); }
  void NoteLost() {
    set_stored_id({});
    set_tier(StateTier::kLost);
    set_lost();
  }
  void NoteStored(std::string id) { set_stored_id(std::move(id)); }

  bool registered = false;  // counted among those that are held
  StateBytes arriving;      // to be taken in by Tend
  Slot slot;
  std::list<TieredState*>::iterator slot_place;  // valid while `slot` is held
  HostCopyRef host;
  std::list<TieredState*>::iterator host_place;  // valid while `host` is held
  bool used = false;                             // since the clock's hand passed
  int memory_pins = 0;                           // those of its slot among them
  int slot_pins = 0;
  bool loading = false;
  bool storing = false;
  std::vector<StateTiers::StoreDone> store_waiters;
};

// Any thread puts in, the step thread takes out.
struct StateTiers::Inbox {
  Mutex mutex;
  std::function<void()> wake ABSL_GUARDED_BY(mutex);
  std::vector<TieredState*> released ABSL_GUARDED_BY(mutex);
  std::vector<std::shared_ptr<TieredState>> arrived ABSL_GUARDED_BY(mutex);
  std::vector<std::function<void()>> requests ABSL_GUARDED_BY(mutex);

  void Release(TieredState* state) {
    MutexLock lock(&mutex);
    released.push_back(state);
    if (wake) wake();
  }
  void Arrive(std::shared_ptr<TieredState> state) {
    MutexLock lock(&mutex);
    arrived.push_back(std::move(state));
    if (wake) wake();
  }
  void Ask(std::function<void()> request) {
    MutexLock lock(&mutex);
    requests.push_back(std::move(request));
    if (wake) wake();
  }
  std::vector<TieredState*> TakeReleased() {
    MutexLock lock(&mutex);
    return std::exchange(released, {});
  }
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_TIERED_STATE_H_
