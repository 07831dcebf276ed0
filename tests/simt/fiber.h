// A stack of its own on which work runs until it suspends itself; whoever resumes it goes on then.
// Stacks are of a fixed size, with a page that may not be touched below.
//
// One OS thread at a time. Work runs with a kernel's float mode and lets no exception out. A fiber
// may be destroyed while its work is suspended: the work is forgotten, destructors do not run.
#ifndef SSMD_TESTS_SIMT_FIBER_H_
#define SSMD_TESTS_SIMT_FIBER_H_

#include <cstddef>
#include <memory>
#include <vector>

namespace ssmd::simt {

class Fiber {
 public:
  // ThreadSanitizer is to know it by this name.
  explicit Fiber(void* tsan_fiber);
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

// Fibers that nobody uses, of an OS thread: to ThreadSanitizer a new one is a new thread, which
// takes a while.
//
// It also holds that what was done before a fiber was made comes before all that the fiber does. So
// new ones are made as if they were when the pool was: the host, which may need more of them at any
// time, is not taken for having waited then.
class FiberPool {
 public:
  static FiberPool& OfThisThread();
  ~FiberPool();
  FiberPool(const FiberPool&) = delete;
  FiberPool& operator=(const FiberPool&) = delete;

  std::unique_ptr<Fiber> Take();
  void Give(std::unique_ptr<Fiber> fiber);  // REQUIRES: no work is suspended there

 private:
  FiberPool();

  void* const tsan_origin_;
  std::vector<std::unique_ptr<Fiber>> idle_;
};

}  // namespace ssmd::simt

#endif  // SSMD_TESTS_SIMT_FIBER_H_
