// See tiers.h. This file: what is held, slots and host memory. tiers_store.cc: to the store and
// back.
#include "engine/state/tiers.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/state/tiered_state.h"
#include "kernels/host_memory.h"

namespace ssmd {
namespace {

TieredState* Of(const StateRef& state) { return static_cast<TieredState*>(state.get()); }

}  // namespace

StatePin& StatePin::operator=(StatePin&& other) noexcept {
  if (this != &other) {
    Release();
    state_ = std::exchange(other.state_, nullptr);
    strength_ = other.strength_;
  }
  return *this;
}

void StatePin::Release() {
  if (state_ == nullptr) return;
  --state_->memory_pins;
  if (strength_ == Strength::kSlot) --state_->slot_pins;
  state_ = nullptr;
}

StateTiers::StateTiers(Options options)
    : options_(std::move(options)), inbox_(std::make_shared<Inbox>()), store_(options_.store) {
  inbox_->wake = options_.wake;
}

StateTiers::~StateTiers() {
  Tend();
  Check(held_ == 0, "StateTiers: destroyed while states are held");
  MutexLock lock(&inbox_->mutex);
  inbox_->wake = nullptr;
}

// --- Holding and letting go ---

std::shared_ptr<TieredState> StateTiers::Make(int64_t position, std::string stored_id) {
  // The last reference may go anywhere; slots and memory are given back on the step thread.
  const auto release = [inbox = inbox_](TieredState* state) { inbox->Release(state); };
  return std::shared_ptr<TieredState>(
      new TieredState(position, bytes_per_state(), std::move(stored_id)), release);
}

StateRef StateTiers::Adopt(Slot slot, int64_t position) {
  auto state = Make(position, {});
  ++held_;
  EnterSlot(state.get(), std::move(slot));
  return state;
}

StateRef StateTiers::CopyToHost(const Slot& slot, int64_t position) {
  if (!ChargeHost(/*relieve=*/false)) return nullptr;
  StateBytes bytes = ReadSlot(slot);
  if (bytes == nullptr) {
    options_.host->Return(bytes_per_state());
    return nullptr;
  }
  auto state = Make(position, {});
  ++held_;
  EnterHost(state.get(), std::move(bytes));
  return state;
}

StateRef StateTiers::AdoptBytes(StateBytes bytes, int64_t position) {
  auto state = Make(position, {});
  state->arriving = std::move(bytes);
  state->NoteTier(StateTier::kHost);
  inbox_->Arrive(state);
  return state;
}

StateRef StateTiers::AdoptStored(std::string stored_id, int64_t position) {
  auto state = Make(position, std::move(stored_id));
  state->NoteTier(StateTier::kDisk);
  inbox_->Arrive(state);
  return state;
}

void StateTiers::Reap() {
  for (TieredState* state : inbox_->TakeReleased()) ReapOne(state);
}

void StateTiers::ReapOne(TieredState* state) {
  if (state->slot) LeaveSlot(state);
  if (state->host != nullptr) LeaveHost(state);
  const std::string stored_id = state->stored_id();
  if (!stored_id.empty() && store_ != nullptr) {
    store_->Delete(stored_id);
  }
  if (state->registered) --held_;
  delete state;
}

void StateTiers::SetTier(TieredState* state) {
  state->NoteTier(state->slot                  ? StateTier::kDevice
                  : state->host != nullptr     ? StateTier::kHost
                  : state->stored_id().empty() ? StateTier::kLost
                                               : StateTier::kDisk);
}

void StateTiers::EnterSlot(TieredState* state, Slot slot) {
  state->registered = true;
  state->slot = std::move(slot);
  state->used = true;
  state->slot_place = in_slots_.insert(in_slots_.end(), state);
  SetTier(state);
}

void StateTiers::LeaveSlot(TieredState* state) {
  state->slot.Release();
  in_slots_.erase(state->slot_place);
  SetTier(state);
}

void StateTiers::EnterHost(TieredState* state, StateBytes bytes) {
  state->registered = true;
  state->host = std::move(bytes);
  state->used = true;
  state->host_place = in_host_.insert(in_host_.end(), state);
  SetTier(state);
}

void StateTiers::LeaveHost(TieredState* state) {
  state->host = nullptr;  // a reader of the bytes may keep them for a moment longer
  options_.host->Return(bytes_per_state());
  in_host_.erase(state->host_place);
  SetTier(state);
}

StateBytes StateTiers::ReadSlot(const Slot& slot) const {
  auto bytes = std::make_shared<kernels::Buffer>(
      kernels::AllocateHost(std::max<size_t>(bytes_per_state(), 1)));
  if (!*bytes) return nullptr;
  if (!options_.pool->Read(slot, bytes->data())) return nullptr;
  return bytes;
}

StateBytes StateTiers::InMemory(const TieredState& state) const {
  return state.host != nullptr ? state.host : state.slot ? ReadSlot(state.slot) : nullptr;
}

// --- Making room ---

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
      StateBytes bytes = ReadSlot(state->slot);
      if (bytes == nullptr) break;
      EnterHost(state, std::move(bytes));
      state->used = false;
      *room = false;
    } else if (state->host == nullptr && options_.host->TryCharge(bytes_per_state())) {
      // It is in the store already; host memory that is free saves the way there.
      if (StateBytes bytes = ReadSlot(state->slot); bytes != nullptr) {
        EnterHost(state, std::move(bytes));
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
    LeaveHost(state);
    ++evictions_[static_cast<size_t>(StateTier::kHost)];
    if (options_.on_eviction) options_.on_eviction(StateTier::kHost);
    return true;
  }
  return false;
}

// --- Using ---

StatePin StateTiers::Pin(const StateRef& state, StatePin::Strength strength) {
  StatePin pin;
  pin.state_ = std::static_pointer_cast<TieredState>(state);
  pin.strength_ = strength;
  ++pin.state_->memory_pins;
  if (strength == StatePin::Strength::kSlot) ++pin.state_->slot_pins;
  return pin;
}

int32_t StateTiers::SlotOf(const StateRef& state) const { return Of(state)->slot.index(); }

void StateTiers::CopyInto(const StateRef& state, const Slot& to) {
  TieredState* from = Of(state);
  from->used = true;
  if (from->slot) {
    options_.pool->CopyState(from->slot, to);
  } else {
    Check(from->host != nullptr, "StateTiers: a state that is not in memory was read");
    options_.pool->Write(from->host->data(), to);
  }
}

Slot StateTiers::Reclaim(StateRef* state) {
  TieredState* held = Of(*state);
  if (held->memory_pins > 0 || held->storing || state->use_count() != 1) return Slot();
  Slot slot;
  if (held->slot) {
    slot = std::move(held->slot);
    in_slots_.erase(held->slot_place);
    SetTier(held);
  } else if (held->host != nullptr) {
    slot = TradePlaces(held);
  }
  if (slot) state->reset();
  return slot;
}

// For the slot of another state, which gets the room of this one.
Slot StateTiers::TradePlaces(TieredState* in_host) {
  StateBytes bytes = in_host->host;
  LeaveHost(in_host);
  options_.host->Charge(bytes_per_state());
  bool room = true;
  Slot slot = TakeSlot(&room);
  if (slot) {
    options_.pool->Write(bytes->data(), slot);
    if (room) options_.host->Return(bytes_per_state());
  } else {
    EnterHost(in_host, std::move(bytes));
  }
  return slot;
}

TierFigures StateTiers::figures() const {
  TierFigures figures;
  figures.held = held_;
  figures.in_slots = static_cast<int64_t>(in_slots_.size());
  figures.in_host = static_cast<int64_t>(in_host_.size());
  figures.loading = loading_;
  figures.storing = storing_;
  figures.evictions = evictions_;
  return figures;
}

}  // namespace ssmd
