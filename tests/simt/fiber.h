// A stack of its own on which work runs until it suspends itself; whoever resumes it goes on then.
// Stacks are of a fixed size, with a page that may not be touched below.
//
// One OS thread at a time. Work runs with a kernel's float mode and lets no exception out. A fiber
// may be destroyed while its work is suspended: the work is forgotten, destructors do not run.
#ifndef SSMD_TESTS_SIMT_FIBER_H_
#define SSMD_TESTS_SIMT_FIBER_H_

#include <cstddef>

namespace ssmd::simt {

// Where fibers come from. ThreadSanitizer holds that what was done before a fiber was made comes
// before all that the fiber does. It has to know of a fiber when that is first needed, and not to
// take the host for having waited: so fibers are made as if they were when their origin was.
class FiberOrigin {
 public:
  FiberOrigin();
  ~FiberOrigin();
  FiberOrigin(const FiberOrigin&) = delete;
  FiberOrigin& operator=(const FiberOrigin&) = delete;

  // ThreadSanitizer's name of a new fiber; null without it.
  void* MakeTsanFiber() const;

 private:
  void* tsan_fiber_ = nullptr;
};

class Fiber {
 public:
  explicit Fiber(const FiberOrigin& origin);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Runs work(argument) until it suspends or returns. REQUIRES: no work is suspended here.
  void Start(void (*work)(void*), void* argument);
  // REQUIRES: work is suspended here.
  void Resume();

  // From within the work.
  void Suspend();

 private:
  // On the fiber: it has been switched to, from there.
  void Arrive(void* caller);
  [[noreturn]] void Work();

  void* const map_;         // with a page that may not be touched, below the stack
  void* const stack_;       // its lowest address
  void* context_;           // where the fiber stands, while it does not run
  void* caller_ = nullptr;  // where its caller stands, while it does
  void (*work_)(void*) = nullptr;
  void* argument_ = nullptr;

  // For the sanitizers.
  void* const tsan_fiber_;
  void* tsan_caller_ = nullptr;
  const void* caller_stack_ = nullptr;
  size_t caller_stack_bytes_ = 0;
  void* asan_kept_ = nullptr;
};

}  // namespace ssmd::simt

#endif  // SSMD_TESTS_SIMT_FIBER_H_
