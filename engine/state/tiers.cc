// See tiers.h. This file: what is held, and its use. tiers_room.cc: slots and host memory.
// tiers_store.cc: to the store and back.
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
    : options_(std::move(options)),
      inbox_(std::make_shared<Inbox>()),
      store_(options_.store),
      copies_(options_.pool) {
  inbox_->wake = options_.wake;
}

StateTiers::~StateTiers() {
  Tend();
  copies_.Finish();
  Tend();  // what waited for them
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
  HostCopyRef copy = copies_.Read(slot);
  if (copy == nullptr) {
    options_.host->Return(bytes_per_state());
    return nullptr;
  }
  copies_.HoldFor(slot);
  auto state = Make(position, {});
  ++held_;
  EnterHost(state.get(), std::move(copy));
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
  copies_.HoldFor(state->slot);
  state->slot.Release();
  in_slots_.erase(state->slot_place);
  SetTier(state);
}

void StateTiers::EnterHost(TieredState* state, HostCopyRef copy) {
  state->registered = true;
  state->host = std::move(copy);
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

HostCopyRef StateTiers::InMemory(const TieredState& state) {
  return state.host != nullptr ? state.host : state.slot ? copies_.Read(state.slot) : nullptr;
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
    copies_.Write(from->host, to);
  }
}

Slot StateTiers::Reclaim(StateRef* state) {
  TieredState* held = Of(*state);
  if (held->memory_pins > 0 || held->storing || state->use_count() != 1) return Slot();
  Slot slot;
  if (held->slot) {
    copies_.HoldFor(held->slot);
    slot = std::move(held->slot);
    in_slots_.erase(held->slot_place);
    SetTier(held);
  } else if (held->host != nullptr) {
    slot = TradePlaces(held);
  }
  if (slot) state->reset();
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
