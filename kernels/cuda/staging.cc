#include "kernels/cuda/staging.h"

namespace ssmd::kernels::cuda {

Buffer AllocateOn(Gpu& gpu, size_t bytes) {
  const auto free = [](void* context, std::byte* data) {
    auto* owner = static_cast<Gpu*>(context);
    owner->Synchronize();
    owner->Free(data);
  };
  return Buffer(static_cast<std::byte*>(gpu.Allocate(bytes)), bytes, free, &gpu);
}

Buffer AllocatePinned(Gpu& gpu, size_t bytes) {
  const auto free = [](void* context, std::byte* data) {
    auto* owner = static_cast<Gpu*>(context);
    owner->Synchronize();
    owner->FreePinned(data);
  };
  return Buffer(static_cast<std::byte*>(gpu.AllocatePinned(bytes)), bytes, free, &gpu);
}

bool Staging::Reserve(Gpu& gpu, size_t bytes) {
  device_ = AllocateOn(gpu, bytes);
  bool whole = static_cast<bool>(device_);
  for (Side& side : sides_) {
    side.memory = AllocatePinned(gpu, bytes);
    side.copied.reset();
    whole = whole && side.memory;
  }
  return whole;
}

std::byte* Staging::host() {
  Side& side = sides_[turn_];
  if (side.copied != nullptr) side.copied->Wait();
  return side.memory.data();
}

void Staging::Send(Stream& stream, size_t bytes) {
  Side& side = sides_[turn_];
  stream.CopyIn(device_.data(), side.memory.data(), bytes);
  side.copied = stream.Record();
  turn_ = 1 - turn_;
}

}  // namespace ssmd::kernels::cuda
