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

#if defined(SSMD_SIMT_TSAN)

inline constexpr bool kThreadSanitizer = true;

// All that was done before a release of a clock, by whoever released it, comes before what follows
// an acquire. A clock is any byte.
inline void ReleaseClock(char* clock) { __tsan_release(clock); }
inline void AcquireClock(char* clock) { __tsan_acquire(clock); }

// The accesses of the calling fiber or thread are not looked at; what it allocates is as new.
class Unobserved {
 public:
  Unobserved() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Unobserved() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
  Unobserved(const Unobserved&) = delete;
  Unobserved& operator=(const Unobserved&) = delete;
};

#else

inline constexpr bool kThreadSanitizer = false;

inline void ReleaseClock(char*) {}
inline void AcquireClock(char*) {}

class Unobserved {
 public:
  Unobserved() {}
  ~Unobserved() {}
  Unobserved(const Unobserved&) = delete;
  Unobserved& operator=(const Unobserved&) = delete;
};

#endif

}  // namespace ssmd::simt

#endif  // SSMD_TESTS_SIMT_SANITIZERS_H_
