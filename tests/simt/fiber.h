// A stack of its own on which work runs until it suspends itself; whoever resumes it goes on then.
// Stacks are of a fixed size, with a page that may not be touched below.
//
// One OS thread at a time. Work runs with a kernel's float mode and lets no exception out. A fiber
// may be destroyed while its work is suspended: the work is forgotten, destructors do not run.
#ifndef SSMD_TESTS_SIMT_FIBER_H_
#define SSMD_TESTS_SIMT_FIBER_H_

#include <cstddef>

namespace ssmd::simt {

class Fiber {
 public:
  Fiber();
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
  [[noreturn]] void Work();

  void* stack_;             // with the page below
  void* context_;           // where the fiber stands, while it does not run
  void* caller_ = nullptr;  // where its caller stands, while it does
  void (*work_)(void*) = nullptr;
  void* argument_ = nullptr;

  // ThreadSanitizer's names of the two.
  void* tsan_fiber_ = nullptr;
  void* tsan_caller_ = nullptr;
  // AddressSanitizer's: the caller's stack, and what it keeps of each side.
  const void* caller_stack_ = nullptr;
  size_t caller_stack_bytes_ = 0;
  void* asan_fiber_ = nullptr;
  void* asan_caller_ = nullptr;
};

}  // namespace ssmd::simt

#endif  // SSMD_TESTS_SIMT_FIBER_H_
