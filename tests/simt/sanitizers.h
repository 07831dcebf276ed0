// What the sanitizers have to be told where fibers are switched, and nothing without them.
//
// ThreadSanitizer sees each fiber as a thread. A switch orders nothing for it: what is ordered is
// said by ReleaseClock and AcquireClock, at barriers and between the launches of a stream. The
// scheduler's own memory is kept out of its sight by Unobserved, so that it neither reports that
// memory nor takes its accesses for order.
#ifndef SSMD_TESTS_SIMT_SANITIZERS_H_
#define SSMD_TESTS_SIMT_SANITIZERS_H_

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SSMD_SIMT_TSAN 1
#endif
#if __has_feature(address_sanitizer)
#define SSMD_SIMT_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define SSMD_SIMT_TSAN 1
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SSMD_SIMT_ASAN 1
#endif

#if defined(SSMD_SIMT_TSAN)
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif
#if defined(SSMD_SIMT_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace ssmd::simt {

// ThreadSanitizer. A clock is any byte: all that was done before a release of it, by whoever
// released it, comes before what follows an acquire.
#if defined(SSMD_SIMT_TSAN)
inline constexpr bool kThreadSanitizer = true;
inline void ReleaseClock(char* clock) { __tsan_release(clock); }
inline void AcquireClock(char* clock) { __tsan_acquire(clock); }
inline void* MakeTsanFiber() { return __tsan_create_fiber(0); }
inline void ForgetTsanFiber(void* fiber) { __tsan_destroy_fiber(fiber); }
inline void* CurrentTsanFiber() { return __tsan_get_current_fiber(); }
inline void SwitchTsanFiber(void* to) {
  __tsan_switch_to_fiber(to, __tsan_switch_to_fiber_no_sync);
}
inline void IgnoreAccesses() {
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}
inline void HeedAccesses() {
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}
#else
inline constexpr bool kThreadSanitizer = false;
inline void ReleaseClock(char*) {}
inline void AcquireClock(char*) {}
inline void* MakeTsanFiber() { return nullptr; }
inline void ForgetTsanFiber(void*) {}
inline void* CurrentTsanFiber() { return nullptr; }
inline void SwitchTsanFiber(void*) {}
inline void IgnoreAccesses() {}
inline void HeedAccesses() {}
#endif

// The accesses of the calling fiber or thread are not looked at; what it allocates is as new.
class Unobserved {
 public:
  Unobserved() { IgnoreAccesses(); }
  ~Unobserved() { HeedAccesses(); }
  Unobserved(const Unobserved&) = delete;
  Unobserved& operator=(const Unobserved&) = delete;
};

// AddressSanitizer: around every switch, what it keeps of the side that is left and the stack that
// is switched to, and then the other way round.
#if defined(SSMD_SIMT_ASAN)
inline void BeginAsanSwitch(void** kept, const void* stack, size_t bytes) {
  __sanitizer_start_switch_fiber(kept, stack, bytes);
}
inline void EndAsanSwitch(void* kept, const void** stack_left, size_t* bytes_left) {
  __sanitizer_finish_switch_fiber(kept, stack_left, bytes_left);
}
inline void ForgetAsanStack(void* stack, size_t bytes) {
  __asan_unpoison_memory_region(stack, bytes);
}
#else
inline void BeginAsanSwitch(void**, const void*, size_t) {}
inline void EndAsanSwitch(void*, const void**, size_t*) {}
inline void ForgetAsanStack(void*, size_t) {}
#endif

}  // namespace ssmd::simt

#endif  // SSMD_TESTS_SIMT_SANITIZERS_H_
