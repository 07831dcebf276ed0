// Where the bytes of held states are: a slot of the device, host memory, the store. A state may be
// in several of them; what moves is a copy, for a held state never changes.
//
//   slot ──evicted──► host memory ──evicted──► store (or nothing, if a copy is there)
//     ▲                  ▲
//     └── read by turns ─┴── loaded when a turn waits for it
//
// Both evictions go by the clock algorithm (least recently used, with a second chance). Where the
// device copies beside its steps, those that will leave their slots next are copied ahead, when few
// are left. So a slot is there at once: whatever a copy that is under way must come before waits on
// the device, not here. A state
// that a running turn may need again is pinned: it can leave the device for host memory, but no
// further; one whose slot the next step reads cannot leave it.
//
// Owned by one model. The step thread's, but for what is marked "any thread": other threads leave
// requests and references that they are done with in an inbox, which Tend() empties. Loads and
// writes happen on the store's threads while steps go on.
//
// Limits: slots by the pool; host memory by the HostBudget, past which kHostFloor states of each
// model are always allowed, so that nothing waits for ever; writes and loads in progress by
// constants.
#ifndef SSMD_ENGINE_STATE_TIERS_H_
#define SSMD_ENGINE_STATE_TIERS_H_

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/mutex.h"
#include "engine/state/held_state.h"
#include "engine/state/host_budget.h"
#include "engine/state/host_copies.h"
#include "engine/state/snapshot.h"
#include "engine/state/state_pool.h"
#include "engine/state/state_store.h"

namespace ssmd {

class StateTiers;
class TieredState;

// Keeps a state in memory (kMemory), or in its slot as well (kSlot), while a turn depends on it.
class StatePin {
 public:
  enum class Strength : uint8_t { kMemory, kSlot };

  StatePin() = default;
  StatePin(StatePin&& other) noexcept { *this = std::move(other); }
  StatePin& operator=(StatePin&& other) noexcept;
  ~StatePin() { Release(); }
  explicit operator bool() const { return state_ != nullptr; }
  void Release();

 private:
  friend class StateTiers;
  std::shared_ptr<TieredState> state_;
  Strength strength_ = Strength::kMemory;
};

struct TierFigures {
  int64_t held = 0;
  int64_t in_slots = 0;
  int64_t in_host = 0;
  int64_t loading = 0;
  int64_t storing = 0;
  std::array<int64_t, 4> evictions{};  // by the StateTier that was left
};

class StateTiers {
 public:
  struct Options {
    StatePool* pool = nullptr;
    HostBudget* host = nullptr;
    StateStore* store = nullptr;  // null: there is none
    ModelIdentity identity;       // written into stored states, and required of them
    std::function<void()> wake;   // makes the step thread call Tend(); any thread
    // Gives up some state that is only kept because there was room. False when there is none. Asked
    // when that may make the room that is wanted.
    std::function<bool()> relief;
    std::function<void(StateTier left)> on_eviction;
    // The copy of a state in the store could not be read, or was not what it had to be.
    std::function<void(const std::string& stored_id, const absl::Status& why)> on_unreadable;
  };

  static constexpr size_t kHostFloor = 8;

  explicit StateTiers(Options options);
  // Every reference must be gone, and the store be closed.
  ~StateTiers();
  StateTiers(const StateTiers&) = delete;
  StateTiers& operator=(const StateTiers&) = delete;

  // --- Making held states ---
  // The slot's state from here on. `position` > 0.
  StateRef Adopt(Slot slot, int64_t position);
  // A copy of the slot's present state in host memory; null when there is no room for it.
  StateRef CopyToHost(const Slot& slot, int64_t position);
  // Any thread. `bytes` are pool->bytes_per_slot() many.
  StateRef AdoptBytes(StateBytes bytes, int64_t position);
  // Any thread. A state that the store has.
  StateRef AdoptStored(std::string stored_id, int64_t position);

  // --- Using them ---
  // A free slot, zeroed; made free by eviction if need be. Empty when none can be had now: what is
  // being written or will be given back wakes the step thread.
  Slot TakeSlot();
  // Brings a state into memory, over some rounds if it has to be loaded. kLost: it cannot be had
  // any more (the store failed); tier() says so from then on.
  enum class Readiness : uint8_t { kReady, kLoading, kLost };
  Readiness Prepare(const StateRef& state);
  // REQUIRES: Prepare gave kReady since the last Tend or TakeSlot, or a pin is held.
  StatePin Pin(const StateRef& state, StatePin::Strength strength);
  // Where a segment can read it, or −1 when it has no slot.
  int32_t SlotOf(const StateRef& state) const;
  // Overwrites `to` with it. REQUIRES: it is in memory.
  void CopyInto(const StateRef& state, const Slot& to);
  // A state that nobody else holds, in a slot of the caller's: no longer held then. From memory it
  // gets one even where all are full, by trading places. Empty, and `state` as it was, when it is
  // shared, pinned, not in memory, or no slot can be had now.
  Slot Reclaim(StateRef* state);

  // --- Any thread ---
  // The bytes of a state, wherever they are. `done` is called once, on the step thread or the
  // store's; it must not block.
  using FetchDone = std::function<void(absl::StatusOr<StateBytes>)>;
  void Fetch(StateRef state, FetchDone done);
  // Writes it to the store unless it is there. `done`: see Fetch.
  using StoreDone = std::function<void(absl::Status)>;
  void Store(StateRef state, StoreDone done);

  // A write that failed stops those that make room, until this is called.
  void RetryStores();

  // The store is about to go: what is in it stays, for the next start. After the step thread's end.
  void CloseStore() { store_ = nullptr; }

  // --- Step thread, before each round ---
  void Tend();
  // Gives back what the references that are gone by now had held.
  void Reap();
  // Something is on its way to or from the store: a slot may become free without a step.
  bool moving() const { return loading_ + storing_ > 0; }
  TierFigures figures() const;
  size_t bytes_per_state() const { return options_.pool->bytes_per_slot(); }

 private:
  friend class StatePin;
  friend class TieredState;
  struct Inbox;

  std::shared_ptr<TieredState> Make(int64_t position, std::string stored_id);
  void ReapOne(TieredState* state);
  void SetTier(TieredState* state);

  void EnterSlot(TieredState* state, Slot slot);
  void LeaveSlot(TieredState* state);
  void EnterHost(TieredState* state, HostCopyRef copy);  // charged already
  void LeaveHost(TieredState* state);
  Slot TradePlaces(TieredState* in_host);

  bool Relieve();
  Slot TakeSlot(bool* room);
  bool EvictFromSlot(bool* room);
  void CopyAhead();
  bool CopyAhead(TieredState* state);
  bool ChargeHost(bool relieve);
  bool EvictFromHost();
  bool EvictUnused();
  void EvictFromHost(TieredState* state);
  void StoreDirty();
  // Null when it is not, there is no memory for a copy, or the device has failed.
  HostCopyRef InMemory(const TieredState& state);
  // Calls it with the bytes (null: the device has failed) once they are there.
  using BytesUser = std::function<void(StateBytes)>;
  void Await(HostCopyRef copy, BytesUser user);
  void TendCopies();

  void StartLoad(const std::shared_ptr<TieredState>& state);
  void FinishLoad(TieredState* state, absl::StatusOr<Snapshot> loaded);
  void StartFetch(const std::shared_ptr<TieredState>& state, FetchDone done);
  void FetchStored(const std::shared_ptr<TieredState>& state, FetchDone done);
  void StartStore(const std::shared_ptr<TieredState>& state);
  void Put(const std::shared_ptr<TieredState>& state, StateBytes bytes);
  void FinishStore(TieredState* state, const std::string& id, const absl::Status& status);
  absl::Status CheckLoaded(const TieredState& state, const Snapshot& loaded) const;
  SnapshotLimits LimitsOf(const TieredState& state) const;

  const Options options_;
  const std::shared_ptr<Inbox> inbox_;  // outlives this while references do
  StateStore* store_;
  HostCopies copies_;
  std::vector<std::pair<HostCopyRef, BytesUser>> awaited_;
  std::list<TieredState*> in_slots_;  // in the order of the clock's hand
  std::list<TieredState*> in_host_;
  int64_t held_ = 0;
  int64_t loading_ = 0;
  int64_t storing_ = 0;
  bool store_failed_ = false;
  std::array<int64_t, 4> evictions_{};
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_TIERS_H_
