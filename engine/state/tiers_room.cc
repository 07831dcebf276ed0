// StateTiers: making room, in slots and in host memory.
#include <algorithm>
#include <utility>

#include "engine/state/tiered_state.h"
#include "engine/state/tiers.h"

namespace ssmd {
namespace {

// Slots that are free, or can be as soon as they are asked for.
constexpr int kSlotsAhead = 4;

}  // namespace

bool StateTiers::Relieve() {
  if (!options_.relief || !options_.relief()) return false;
  Reap();
  return true;
}

Slot StateTiers::TakeSlot() {
  bool room = false;
  Slot slot = TakeSlot(&room);
  if (room) options_.host->Return(bytes_per_state());
  return slot;
}

// `room`: whether host memory is charged for a state that is not in it.
Slot StateTiers::TakeSlot(bool* room) {
  Reap();
  while (options_.pool->free_slots() == 0) {
    if (EvictFromSlot(room)) continue;
    // Room elsewhere helps only a state that could go there.
    const bool one_could_leave =
        std::any_of(in_slots_.begin(), in_slots_.end(),
                    [](const TieredState* state) { return state->slot_pins == 0; });
    if (!one_could_leave || !Relieve()) return Slot();
  }
  return options_.pool->Acquire();
}

bool StateTiers::EvictFromSlot(bool* room) {
  // Each state is looked at twice at most: the first time may be its second chance.
  for (size_t looks = 2 * in_slots_.size(); looks > 0; --looks) {
    TieredState* state = in_slots_.front();
    in_slots_.splice(in_slots_.end(), in_slots_, in_slots_.begin());
    if (state->slot_pins > 0 || std::exchange(state->used, false)) continue;
    const bool may_leave_memory = !state->stored_id().empty() && state->memory_pins == 0;
    if (state->host == nullptr && !may_leave_memory) {
      if (!*room && !ChargeHost(/*relieve=*/false)) continue;
      *room = true;
      HostCopyRef copy = copies_.Read(state->slot);
      if (copy == nullptr) break;
      EnterHost(state, std::move(copy));
      state->used = false;
      *room = false;
    } else if (state->host == nullptr && options_.host->TryCharge(bytes_per_state())) {
      // It is in the store already; host memory that is free saves the way there.
      if (HostCopyRef copy = copies_.Read(state->slot); copy != nullptr) {
        EnterHost(state, std::move(copy));
        state->used = false;
      } else {
        options_.host->Return(bytes_per_state());
      }
    }
    LeaveSlot(state);
    ++evictions_[static_cast<size_t>(StateTier::kDevice)];
    if (options_.on_eviction) options_.on_eviction(StateTier::kDevice);
    return true;
  }
  return false;
}

// In the order of the clock's hand.
void StateTiers::CopyAhead() {
  const auto wanted = std::min(kSlotsAhead, options_.pool->slots() / 2);
  int ready = options_.pool->free_slots();
  for (const bool used : {false, true}) {
    for (TieredState* state : in_slots_) {
      if (ready >= wanted) return;
      if (state->used != used || state->slot_pins > 0) continue;
      if (!CopyAhead(state)) return;
      ++ready;
    }
  }
}

// True when it can leave its slot without more ado, at once or when it is copied.
bool StateTiers::CopyAhead(TieredState* state) {
  if (state->host != nullptr) return true;
  const bool may_leave_memory = !state->stored_id().empty() && state->memory_pins == 0;
  if (!options_.host->TryCharge(bytes_per_state())) {
    if (may_leave_memory) return true;
    if (!EvictUnused() || !options_.host->TryCharge(bytes_per_state())) return false;
  }
  HostCopyRef copy = copies_.Read(state->slot);
  if (copy == nullptr) {
    options_.host->Return(bytes_per_state());
    return may_leave_memory;
  }
  const bool used = state->used;
  EnterHost(state, std::move(copy));
  state->used = used;
  return true;
}

// `relieve`: not while a state without a reference is in hand.
bool StateTiers::ChargeHost(bool relieve) {
  while (true) {
    if (options_.host->TryCharge(bytes_per_state())) return true;
    if (in_host_.size() < kHostFloor) {
      options_.host->Charge(bytes_per_state());
      return true;
    }
    if (EvictFromHost() || (relieve && Relieve())) continue;
    StoreDirty();
    return false;
  }
}

bool StateTiers::EvictFromHost() {
  for (size_t looks = 2 * in_host_.size(); looks > 0; --looks) {
    TieredState* state = in_host_.front();
    in_host_.splice(in_host_.end(), in_host_, in_host_.begin());
    const bool elsewhere = state->slot || (!state->stored_id().empty() && state->memory_pins == 0);
    if (!elsewhere || std::exchange(state->used, false)) continue;
    EvictFromHost(state);
    return true;
  }
  return false;
}

// For a copy ahead: it takes no room that anybody has asked for, so no state's that was used since
// the hand passed (by a turn that waits for its start, it may be), and not another such copy's.
bool StateTiers::EvictUnused() {
  if (options_.host->used() > options_.host->limit()) return false;
  const auto unused = std::find_if(in_host_.begin(), in_host_.end(), [](const auto* state) {
    return !state->slot && !state->used && state->memory_pins == 0 && !state->stored_id().empty();
  });
  if (unused == in_host_.end()) return false;
  EvictFromHost(*unused);
  return true;
}

void StateTiers::EvictFromHost(TieredState* state) {
  LeaveHost(state);
  ++evictions_[static_cast<size_t>(StateTier::kHost)];
  if (options_.on_eviction) options_.on_eviction(StateTier::kHost);
}

// For the slot of another state, which gets the room of this one.
Slot StateTiers::TradePlaces(TieredState* in_host) {
  HostCopyRef copy = in_host->host;
  LeaveHost(in_host);
  options_.host->Charge(bytes_per_state());
  bool room = true;
  Slot slot = TakeSlot(&room);
  if (slot) {
    copies_.Write(copy, slot);
    if (room) options_.host->Return(bytes_per_state());
  } else {
    EnterHost(in_host, std::move(copy));
  }
  return slot;
}

}  // namespace ssmd
