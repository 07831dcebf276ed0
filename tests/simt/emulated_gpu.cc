#include "tests/simt/emulated_gpu.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernels/cuda/gpu_faults.h"
#include "tests/simt/control_state.h"
#include "tests/simt/emulated_stream.h"
#include "tests/simt/misuse.h"
#include "tests/simt/simt_control.h"

namespace ssmd::simt {

namespace gpu_faults = kernels::cuda::gpu_faults;

namespace {

constexpr size_t kAlignment = 256;

}  // namespace

void* Memory::Allocate(size_t bytes) {
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, bytes) != 0) return nullptr;
  std::memset(memory, kGarbage, bytes);
  blocks_.emplace(static_cast<const std::byte*>(memory), bytes);
  used_bytes_ += bytes;
  return memory;
}

size_t Memory::SizeOf(const void* memory) const {
  const auto found = blocks_.find(static_cast<const std::byte*>(memory));
  return found == blocks_.end() ? 0 : found->second;
}

void Memory::Free(void* memory) {
  const auto found = blocks_.find(static_cast<const std::byte*>(memory));
  std::memset(memory, kGarbage, found->second);
  used_bytes_ -= found->second;
  blocks_.erase(found);
  std::free(memory);
}

bool Memory::Has(const void* at, size_t bytes) const {
  const auto* first = static_cast<const std::byte*>(at);
  auto block = blocks_.upper_bound(first);
  if (block == blocks_.begin()) return false;
  --block;
  return first + bytes <= block->first + block->second;
}

EmulatedGpu::EmulatedGpu(const kernels::cuda::GpuFacts& facts) : facts_(facts), random_(Seed()) {}

EmulatedGpu::~EmulatedGpu() {
  if (!streams_.empty()) FailHost("a GPU is destroyed before its streams");
  if (device_memory_.blocks() + pinned_memory_.blocks() > 0) {
    FailHost("a GPU is destroyed before " + std::to_string(device_memory_.blocks()) +
             " blocks of its memory and " + std::to_string(pinned_memory_.blocks()) +
             " of pinned memory are given back");
  }
}

void* EmulatedGpu::Allocate(size_t bytes) {
  if (failed() || AllocationFails() || gpu_faults::allocate.Hit() || bytes == 0 ||
      bytes > free_bytes())
    return nullptr;
  return device_memory_.Allocate(bytes);
}

void EmulatedGpu::Free(void* memory) { Free(device_memory_, memory, "memory of a GPU"); }

void* EmulatedGpu::AllocatePinned(size_t bytes) {
  if (failed() || PinnedAllocationFails() || gpu_faults::allocate_pinned.Hit() || bytes == 0)
    return nullptr;
  return pinned_memory_.Allocate(bytes);
}

void EmulatedGpu::FreePinned(void* memory) { Free(pinned_memory_, memory, "pinned memory"); }

// Whoever uses it later finds garbage, or what has taken its place, or AddressSanitizer.
void EmulatedGpu::Free(Memory& from, void* memory, const std::string& what) {
  if (memory == nullptr) return;
  const size_t bytes = from.SizeOf(memory);
  if (bytes == 0) FailHost(what + " is freed that was not allocated");
  for (const EmulatedStream* stream : streams_) {
    const char* user = failed() ? nullptr : stream->UserOf(memory, bytes);
    if (user != nullptr) FailHost(what + " is freed that is still to be used by " + user);
  }
  from.Free(memory);
}

size_t EmulatedGpu::free_bytes() {
  return failed() ? 0 : facts_.memory_bytes - device_memory_.used_bytes();
}

std::unique_ptr<kernels::cuda::Stream> EmulatedGpu::MakeStream() {
  auto stream = std::make_unique<EmulatedStream>(this);
  streams_.push_back(stream.get());
  return stream;
}

std::string EmulatedGpu::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

bool EmulatedGpu::failed() const { return !failure().empty(); }

void EmulatedGpu::Fail(const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (failure_.empty()) failure_ = text;
}

void EmulatedGpu::Remove(EmulatedStream* stream) { std::erase(streams_, stream); }

void EmulatedGpu::Synchronize() {
  for (EmulatedStream* stream : streams_) stream->Synchronize();
}

bool EmulatedGpu::Advance() {
  std::vector<EmulatedStream*> able;
  for (EmulatedStream* stream : streams_) {
    if (stream->CanAdvance()) able.push_back(stream);
  }
  if (able.empty()) return false;
  able[random_.Below(able.size())]->Advance();
  return true;
}

}  // namespace ssmd::simt

namespace ssmd::kernels::cuda {

int CountGpus(std::string* error) { return static_cast<int>(simt::Gpus(error).size()); }

std::unique_ptr<Gpu> OpenGpu(int ordinal, std::string* error) {
  const std::vector<GpuFacts> gpus = simt::Gpus(error);
  if (ordinal < 0 || static_cast<size_t>(ordinal) >= gpus.size()) {
    if (error->empty()) *error = "there is no GPU " + std::to_string(ordinal);
    return nullptr;
  }
  return std::make_unique<simt::EmulatedGpu>(gpus[static_cast<size_t>(ordinal)]);
}

}  // namespace ssmd::kernels::cuda
