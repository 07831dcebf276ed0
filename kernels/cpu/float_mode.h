// Denormals are zero, in and out, while an op runs: a decayed state would otherwise run through
// them at a hundredth of the speed, and bits would depend on the caller's mode. Rounding is to
// nearest and all exceptions are masked.
//
// x86 calls a result denormal by its rounded value, Arm by its exact one. So what is below the
// smallest normal number by less than a 2^−25th of it becomes that number there and zero here: the
// one difference in bits between the two, but for those of a NaN.
#ifndef SSMD_KERNELS_CPU_FLOAT_MODE_H_
#define SSMD_KERNELS_CPU_FLOAT_MODE_H_

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace ssmd::kernels::cpu {

// Sets the mode for the calling thread and restores the thread's own at the end of the scope.
class ScopedFloatMode {
 public:
  ScopedFloatMode() : saved_(Get()) { Set(kMode); }
  ~ScopedFloatMode() { Set(saved_); }
  ScopedFloatMode(const ScopedFloatMode&) = delete;
  ScopedFloatMode& operator=(const ScopedFloatMode&) = delete;

 private:
#if defined(__x86_64__)
  static constexpr uint64_t kMode = 0x9FC0;  // FTZ, all masks, DAZ; rounding bits 00
  static uint64_t Get() { return _mm_getcsr(); }
  static void Set(uint64_t mode) { _mm_setcsr(static_cast<uint32_t>(mode)); }
#elif defined(__aarch64__)
  // FZ: denormals are zero in and out, of f32 and f64; rounding bits 00, no traps, no default NaN.
  static constexpr uint64_t kMode = uint64_t{1} << 24;
  static uint64_t Get() {
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode) : : "memory");
    return mode;
  }
  static void Set(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode) : "memory"); }
#else
  static constexpr uint64_t kMode = 0;
  static uint64_t Get() { return 0; }
  static void Set(uint64_t /*mode*/) {}
#endif

  uint64_t saved_;
};

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_FLOAT_MODE_H_
