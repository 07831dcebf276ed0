#include "tests/simt/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "kernels/cpu/float_mode.h"
#include "tests/simt/sanitizers.h"

namespace ssmd::simt {
namespace {

using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

// Kernels keep tiles in arrays, which unoptimised and sanitized builds keep in memory.
constexpr size_t kStackBytes = 256 << 10;

size_t GuardBytes() {
  static const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

void* MapStack() {
  const size_t bytes = GuardBytes() + kStackBytes;
  void* stack = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stack == MAP_FAILED || mprotect(stack, GuardBytes(), PROT_NONE) != 0) {
    std::perror("simt: no memory for the stack of a fiber");
    std::abort();
  }
  return stack;
}

// Bytes at the top that are left out. Stacks that all began at the same place of a page would have
// the same few lines of the cache for themselves.
size_t Offset(const void* map) {
  constexpr size_t kLineBytes = 64, kOffsets = 61;
  return reinterpret_cast<uintptr_t>(map) / (GuardBytes() + kStackBytes) % kOffsets * kLineBytes;
}

}  // namespace

Fiber::Fiber(void* tsan_fiber)
    : map_(MapStack()), stack_(static_cast<char*>(map_) + GuardBytes()), tsan_fiber_(tsan_fiber) {
  const size_t bytes = kStackBytes - Offset(map_);
  context_ = make_fcontext(static_cast<char*>(stack_) + bytes, bytes, [](transfer_t from) {
    auto* self = static_cast<Fiber*>(from.data);
    self->Arrive(from.fctx);
    self->Work();
  });
}

Fiber::~Fiber() {
  ForgetTsanFiber(tsan_fiber_);
  // The frames that stand there are never left, and the addresses will be used again.
  ForgetAsanStack(stack_, kStackBytes);
  munmap(map_, GuardBytes() + kStackBytes);
}

void Fiber::Start(void (*work)(void*), void* argument) {
  work_ = work;
  argument_ = argument;
  Resume();
}

void Fiber::Resume() {
  void* asan_kept = nullptr;
  tsan_caller_ = CurrentTsanFiber();
  BeginAsanSwitch(&asan_kept, stack_, kStackBytes);
  SwitchTsanFiber(tsan_fiber_);
  const transfer_t from = jump_fcontext(context_, this);
  EndAsanSwitch(asan_kept, nullptr, nullptr);
  context_ = from.fctx;
}

void Fiber::Suspend() {
  BeginAsanSwitch(&asan_kept_, caller_stack_, caller_stack_bytes_);
  SwitchTsanFiber(tsan_caller_);
  const transfer_t from = jump_fcontext(caller_, nullptr);
  Arrive(from.fctx);
}

void Fiber::Arrive(void* caller) {
  EndAsanSwitch(asan_kept_, &caller_stack_, &caller_stack_bytes_);
  caller_ = caller;
}

void Fiber::Work() {
  const kernels::cpu::ScopedFloatMode mode;
  for (;;) {
    work_(argument_);
    Suspend();
  }
}

FiberPool& FiberPool::OfThisThread() {
  static thread_local FiberPool pool;
  return pool;
}

FiberPool::FiberPool() : tsan_origin_(MakeTsanFiber()) {}

FiberPool::~FiberPool() {
  const Unobserved unobserved;
  idle_.clear();
  ForgetTsanFiber(tsan_origin_);
}

std::unique_ptr<Fiber> FiberPool::Take() {
  if (idle_.empty()) {
    void* self = CurrentTsanFiber();
    SwitchTsanFiber(tsan_origin_);
    void* made = MakeTsanFiber();
    SwitchTsanFiber(self);
    return std::make_unique<Fiber>(made);
  }
  std::unique_ptr<Fiber> fiber = std::move(idle_.back());
  idle_.pop_back();
  return fiber;
}

void FiberPool::Give(std::unique_ptr<Fiber> fiber) { idle_.push_back(std::move(fiber)); }

}  // namespace ssmd::simt
