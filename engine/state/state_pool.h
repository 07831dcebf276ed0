// The slab of recurrent states on one device: n slots of one model's StateLayout. Kernels are given
// slot indices and read and write states in place, so a changing batch never moves a state.
//
// A slot is zeroed when it is freed, and every acquisition raises its generation, so that a stale
// handle is a bug that is caught, not another session's state that is served.
// Thread-compatible: it belongs to the thread that owns the device; the counters may be read
// anywhere.
#ifndef SSMD_ENGINE_STATE_STATE_POOL_H_
#define SSMD_ENGINE_STATE_STATE_POOL_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/state/layout.h"
#include "kernels/device.h"

namespace ssmd {

class StatePool;

// One slot, held. Move-only; freed (and zeroed) on destruction. The pool must outlive it, and it
// must be destroyed on the thread that owns the pool.
class Slot {
 public:
  Slot() = default;
  Slot(Slot&& other) noexcept;
  Slot& operator=(Slot&& other) noexcept;
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  ~Slot();

  explicit operator bool() const { return pool_ != nullptr; }
  int32_t index() const { return index_; }  // −1 when empty
  uint32_t generation() const { return generation_; }
  void Release();

 private:
  friend class StatePool;
  Slot(StatePool* pool, int32_t index, uint32_t generation)
      : pool_(pool), index_(index), generation_(generation) {}

  StatePool* pool_ = nullptr;
  int32_t index_ = -1;
  uint32_t generation_ = 0;
};

class StatePool {
 public:
  // RESOURCE_EXHAUSTED, naming the bytes asked for, when the device has no room for the slab.
  static absl::StatusOr<std::unique_ptr<StatePool>> Create(kernels::Device* device,
                                                           const StateLayout& layout, int slots);
  // For steps that are only looked at (Device::Rehearse): no slots, and fields without memory.
  static std::unique_ptr<StatePool> WithoutSlots(kernels::Device* device,
                                                 const StateLayout& layout);

  // An empty Slot when none is free. The slot's state is all zeros.
  Slot Acquire();
  // Overwrites `to` with the state of `from`.
  void CopyState(const Slot& from, const Slot& to);

  // A slot's bytes to host memory and back, bytes_per_slot() of them. Read is false when the device
  // has failed, and what it read is not the state.
  bool Read(const Slot& from, std::byte* to) const;
  void Write(const std::byte* from, const Slot& to);
  // The same beside the host, as a Device's Transfers go.
  std::unique_ptr<kernels::Transfer> StartRead(const Slot& from, std::byte* to) const;
  std::unique_ptr<kernels::Transfer> StartWrite(const std::byte* from, const Slot& to);

  // The field that StateLayout::Add put there, of every slot.
  kernels::StateField field(const StatePlace& place) const;

  kernels::Device& device() const { return *device_; }
  int slots() const { return static_cast<int>(generations_.size()); }
  int free_slots() const { return free_count_.load(std::memory_order_relaxed); }
  size_t bytes_per_slot() const { return slot_bytes_; }

 private:
  friend class Slot;
  StatePool(kernels::Device* device, kernels::Buffer slab, size_t slot_bytes, int slots);
  void Free(int32_t index, uint32_t generation);
  // Of a slot that is held and ours: anything else is a bug.
  std::byte* BytesOf(const Slot& slot) const;

  kernels::Device* device_;
  kernels::Buffer slab_;
  size_t slot_bytes_;
  std::vector<uint32_t> generations_;  // odd: held; even: free
  std::vector<int32_t> free_;
  std::atomic<int> free_count_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_STATE_POOL_H_
