#include "kernels/cuda/simt.h"
#include "tests/simt/misuse.h"
#include "tests/simt/sanitizers.h"

namespace ssmd::simt {
namespace {

// Null for calls that are no barriers: a shuffle or a ballot says nothing about memory (CUDA C++
// Programming Guide, warp shuffle and vote functions), and neither does a product.
char* ClockOf(Thread& thread, Call call) {
  switch (call) {
    case Call::kSync:
    case Call::kSyncAny:
      return &thread.block->clocks->block[thread.block_calls++ % 2];
    case Call::kSyncWarp:
      return &thread.block->clocks->warp[thread.warp()][thread.warp_calls++ % 2];
    case Call::kShuffle:
    case Call::kBallot:
    case Call::kMma:
      break;
  }
  return nullptr;
}

}  // namespace

uint64_t Thread::Wait(Call what, Place at, uint64_t given, int of_lane) {
  char* clock = ClockOf(*this, what);
  call = what;
  place = at;
  value = given;
  source = of_lane;
  waits = true;
  if (clock != nullptr) ReleaseClock(clock);
  fiber->Suspend();
  if (clock != nullptr) AcquireClock(clock);
  return value;
}

void Thread::Multiply(const Fragments& mine, Place at) {
  fragments = mine;
  Wait(Call::kMma, at);
}

void Thread::Fail(const char* what) const {
  FailKernel(*block,
             "warp " + std::to_string(warp()) + ", lane " + std::to_string(lane()) + ' ' + what);
}

void AsyncCopies::Add(void* to, const void* from) {
  Copy copy = {to, {}};
  std::memcpy(copy.bytes.data(), from, copy.bytes.size());
  copies_.push_back(copy);
}

void AsyncCopies::Commit() {
  size_t committed = 0;
  for (const size_t size : group_sizes_) committed += size;
  group_sizes_.push_back(copies_.size() - committed);
}

void AsyncCopies::Wait(int pending) {
  const auto kept = static_cast<size_t>(pending);
  if (group_sizes_.size() <= kept) return;
  const size_t groups = group_sizes_.size() - kept;
  size_t arriving = 0;
  for (size_t i = 0; i < groups; ++i) arriving += group_sizes_[i];
  for (size_t i = 0; i < arriving; ++i) {
    std::memcpy(copies_[i].to, copies_[i].bytes.data(), copies_[i].bytes.size());
  }
  copies_.erase(copies_.begin(), copies_.begin() + static_cast<ptrdiff_t>(arriving));
  group_sizes_.erase(group_sizes_.begin(), group_sizes_.begin() + static_cast<ptrdiff_t>(groups));
}

void AsyncCopies::Clear() {
  copies_.clear();
  group_sizes_.clear();
}

void AsyncCopy(Thread& thread, void* shared, const void* global) {
  constexpr size_t kBytes = 16;
  auto* to = static_cast<std::byte*>(shared);
  const std::byte* begin = thread.block->shared;
  const size_t bytes = thread.block->call->shared_bytes;
  if (to < begin || to + kBytes > begin + bytes) {
    thread.Fail("copies asynchronously to where its block's shared memory is not");
  }
  if (reinterpret_cast<uintptr_t>(to) % kBytes != 0 ||
      reinterpret_cast<uintptr_t>(global) % kBytes != 0) {
    thread.Fail("copies asynchronously from or to an address that is not a multiple of 16");
  }
  thread.copies.Add(to, global);
  std::memset(to, kGarbage, kBytes);
}

}  // namespace ssmd::simt
