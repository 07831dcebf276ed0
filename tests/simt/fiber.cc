#include "tests/simt/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstdio>
#include <cstdlib>

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

}  // namespace

Fiber::Fiber() : stack_(MapStack()) {
  auto enter = [](transfer_t from) {
    auto* self = static_cast<Fiber*>(from.data);
#if defined(SSMD_SIMT_ASAN)
    __sanitizer_finish_switch_fiber(nullptr, &self->caller_stack_, &self->caller_stack_bytes_);
#endif
    self->caller_ = from.fctx;
    self->Work();
  };
  context_ =
      make_fcontext(static_cast<char*>(stack_) + GuardBytes() + kStackBytes, kStackBytes, enter);
#if defined(SSMD_SIMT_TSAN)
  tsan_fiber_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
#if defined(SSMD_SIMT_TSAN)
  __tsan_destroy_fiber(tsan_fiber_);
#endif
#if defined(SSMD_SIMT_ASAN)
  // The frames that stand there are never left, and the addresses will be used again.
  __asan_unpoison_memory_region(static_cast<char*>(stack_) + GuardBytes(), kStackBytes);
#endif
  munmap(stack_, GuardBytes() + kStackBytes);
}

void Fiber::Start(void (*work)(void*), void* argument) {
  work_ = work;
  argument_ = argument;
  Resume();
}

void Fiber::Resume() {
#if defined(SSMD_SIMT_ASAN)
  __sanitizer_start_switch_fiber(&asan_caller_, static_cast<char*>(stack_) + GuardBytes(),
                                 kStackBytes);
#endif
#if defined(SSMD_SIMT_TSAN)
  tsan_caller_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(tsan_fiber_, __tsan_switch_to_fiber_no_sync);
#endif
  const transfer_t from = jump_fcontext(context_, this);
#if defined(SSMD_SIMT_ASAN)
  __sanitizer_finish_switch_fiber(asan_caller_, nullptr, nullptr);
#endif
  context_ = from.fctx;
}

void Fiber::Suspend() {
#if defined(SSMD_SIMT_ASAN)
  __sanitizer_start_switch_fiber(&asan_fiber_, caller_stack_, caller_stack_bytes_);
#endif
#if defined(SSMD_SIMT_TSAN)
  __tsan_switch_to_fiber(tsan_caller_, __tsan_switch_to_fiber_no_sync);
#endif
  const transfer_t from = jump_fcontext(caller_, nullptr);
#if defined(SSMD_SIMT_ASAN)
  __sanitizer_finish_switch_fiber(asan_fiber_, &caller_stack_, &caller_stack_bytes_);
#endif
  caller_ = from.fctx;
}

void Fiber::Work() {
  const kernels::cpu::ScopedFloatMode mode;
  for (;;) {
    work_(argument_);
    Suspend();
  }
}

}  // namespace ssmd::simt
