#include "engine/state/host_copies.h"

#include <algorithm>

#include "kernels/host_memory.h"

namespace ssmd {
namespace {

// Buffers that are kept however little memory there is for states: those of the next evictions.
constexpr size_t kIdleKept = 4;

}  // namespace

HostCopies::HostCopies(StatePool* pool) : pool_(pool) {
  if (!pool->device().overlaps_downloads()) return;
  buffers_.emplace(&pool->device(), std::max<size_t>(pool->bytes_per_slot(), 1));
}

HostCopies::~HostCopies() { Finish(); }

HostCopyRef HostCopies::Start(StateBytes bytes, std::unique_ptr<kernels::Transfer> transfer,
                              int32_t slot) {
  auto copy = std::make_shared<HostCopy>(std::move(bytes));
  if (transfer == nullptr) return copy;
  copy->transfer_ = std::move(transfer);
  copy->slot_ = slot;
  under_way_.push_back(copy);
  return copy;
}

HostCopyRef HostCopies::Read(const Slot& from) {
  const auto failed = [this] { return !pool_->device().failure().empty(); };
  if (failed()) return nullptr;
  std::shared_ptr<kernels::Buffer> bytes;
  if (buffers_) {
    bytes = buffers_->Take();
  } else {
    bytes = std::make_shared<kernels::Buffer>(
        kernels::AllocateHost(std::max<size_t>(pool_->bytes_per_slot(), 1)));
  }
  if (bytes == nullptr || !*bytes) return nullptr;
  auto transfer = pool_->StartRead(from, bytes->data());
  if (transfer == nullptr && failed()) return nullptr;
  return Start(std::move(bytes), std::move(transfer), from.index());
}

void HostCopies::HoldFor(const Slot& slot) {
  for (const HostCopyRef& copy : under_way_) {
    if (copy->slot_ == slot.index()) copy->transfer_->HoldOps();
  }
}

void HostCopies::Write(const HostCopyRef& from, const Slot& to) {
  if (from->bytes_ == nullptr) return;  // the device has failed
  Start(from->bytes_, pool_->StartWrite(from->bytes_->data(), to), -1);
}

void HostCopies::Note(HostCopy* copy) {
  copy->transfer_ = nullptr;
  copy->slot_ = -1;
  if (!pool_->device().failure().empty()) copy->bytes_ = nullptr;
}

void HostCopies::Settle() {
  under_way_.remove_if([this](const HostCopyRef& copy) {
    if (!copy->transfer_->Done()) return false;
    Note(copy.get());
    return true;
  });
}

void HostCopies::Finish() {
  for (const HostCopyRef& copy : under_way_) {
    copy->transfer_->Wait();
    Note(copy.get());
  }
  under_way_.clear();
}

size_t HostCopies::idle_bytes() const {
  return buffers_ ? buffers_->idle() * pool_->bytes_per_slot() : 0;
}

void HostCopies::TrimIdle() {
  if (buffers_ && buffers_->idle() > kIdleKept) buffers_->FreeOne();
}

}  // namespace ssmd
