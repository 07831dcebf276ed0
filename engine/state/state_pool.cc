#include "engine/state/state_pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/check.h"

namespace ssmd {

Slot::Slot(Slot&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      index_(std::exchange(other.index_, -1)),
      generation_(std::exchange(other.generation_, 0)) {}

Slot& Slot::operator=(Slot&& other) noexcept {
  if (this != &other) {
    Release();
    pool_ = std::exchange(other.pool_, nullptr);
    index_ = std::exchange(other.index_, -1);
    generation_ = std::exchange(other.generation_, 0);
  }
  return *this;
}

Slot::~Slot() { Release(); }

void Slot::Release() {
  if (pool_ == nullptr) return;
  pool_->Free(index_, generation_);
  pool_ = nullptr;
  index_ = -1;
  generation_ = 0;
}

absl::StatusOr<std::unique_ptr<StatePool>> StatePool::Create(kernels::Device* device,
                                                             const StateLayout& layout, int slots) {
  if (slots < 1) {
    return absl::InvalidArgumentError(
        absl::StrFormat("a state pool needs at least 1 slot, got %d", slots));
  }
  const size_t slot_bytes = layout.bytes_per_slot();
  size_t bytes = 0;
  kernels::Buffer slab;
  if (!__builtin_mul_overflow(slot_bytes, static_cast<size_t>(slots), &bytes)) {
    // A layout without fields is legal and keeps nothing; a device allocates at least a byte.
    slab = device->Allocate(std::max<size_t>(bytes, 1));
  }
  if (!slab) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("no memory for %d state slots of %d bytes each (%.1f MiB): use fewer slots",
                        slots, slot_bytes, static_cast<double>(slot_bytes) * slots / (1 << 20)));
  }
  return std::unique_ptr<StatePool>(new StatePool(device, std::move(slab), slot_bytes, slots));
}

std::unique_ptr<StatePool> StatePool::WithoutSlots(kernels::Device* device,
                                                   const StateLayout& layout) {
  return std::unique_ptr<StatePool>(
      new StatePool(device, kernels::Buffer(), layout.bytes_per_slot(), 0));
}

StatePool::StatePool(kernels::Device* device, kernels::Buffer slab, size_t slot_bytes, int slots)
    : device_(device),
      slab_(std::move(slab)),
      slot_bytes_(slot_bytes),
      generations_(static_cast<size_t>(slots), 0),
      free_count_(slots) {
  // Taken from the back: slot 0 first.
  free_.reserve(generations_.size());
  for (int32_t index = slots; index-- > 0;) free_.push_back(index);
}

Slot StatePool::Acquire() {
  if (free_.empty()) return Slot();
  const int32_t index = free_.back();
  free_.pop_back();
  free_count_.store(static_cast<int>(free_.size()), std::memory_order_relaxed);
  return Slot(this, index, ++generations_[static_cast<size_t>(index)]);
}

std::byte* StatePool::BytesOf(const Slot& slot) const {
  Check(slot.pool_ == this, "StatePool: a slot of another pool, or an empty one, was given");
  Check(generations_[static_cast<size_t>(slot.index_)] == slot.generation_,
        "StatePool: a stale slot");
  return slab_.data() + static_cast<size_t>(slot.index_) * slot_bytes_;
}

void StatePool::CopyState(const Slot& from, const Slot& to) {
  const std::byte* source = BytesOf(from);
  std::byte* target = BytesOf(to);
  if (source != target && slot_bytes_ > 0) device_->Copy(target, source, slot_bytes_);
}

bool StatePool::Read(const Slot& from, std::byte* to) const {
  const std::byte* source = BytesOf(from);
  if (slot_bytes_ > 0) device_->Download(to, source, slot_bytes_);
  return device_->failure().empty();
}

void StatePool::Write(const std::byte* from, const Slot& to) {
  std::byte* target = BytesOf(to);
  if (slot_bytes_ > 0) device_->Upload(target, from, slot_bytes_);
}

std::unique_ptr<kernels::Transfer> StatePool::StartRead(const Slot& from, std::byte* to) const {
  const std::byte* source = BytesOf(from);
  return slot_bytes_ > 0 ? device_->StartDownload(to, source, slot_bytes_) : nullptr;
}

std::unique_ptr<kernels::Transfer> StatePool::StartWrite(const std::byte* from, const Slot& to) {
  std::byte* target = BytesOf(to);
  return slot_bytes_ > 0 ? device_->StartUpload(target, from, slot_bytes_) : nullptr;
}

kernels::StateField StatePool::field(const StatePlace& place) const {
  return {slab_.data(), slot_bytes_, place.offset, place.format, place.layer};
}

void StatePool::Free(int32_t index, uint32_t generation) {
  uint32_t& current = generations_[static_cast<size_t>(index)];
  Check(current == generation, "StatePool: a stale slot was freed");
  ++current;
  if (slot_bytes_ > 0) {
    device_->Zero(slab_.data() + static_cast<size_t>(index) * slot_bytes_, slot_bytes_);
  }
  free_.push_back(index);
  free_count_.store(static_cast<int>(free_.size()), std::memory_order_relaxed);
}

}  // namespace ssmd
