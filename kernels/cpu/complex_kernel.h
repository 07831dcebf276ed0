// Complex modes that go on by themselves (ComplexScan), of a segment. Lanes are modes, whose state
// stays in registers while the tokens go by. Include after a vec_*.h and vec_math.h. Internal
// linkage.
#ifndef SSMD_KERNELS_CPU_COMPLEX_KERNEL_H_
#define SSMD_KERNELS_CPU_COMPLEX_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace ssmd::kernels::cpu {
namespace {

// Groups of 16 modes that are under way together, as each token waits for the last one.
constexpr int kComplexGroups = 2;

// kGroups groups from `mode` on, which may be less than full where it is one.
template <int kGroups>
inline void ScanComplexGroups(const ComplexShare& s, int64_t mode) {
  F16 decay_re[kGroups], decay_im[kGroups], re[kGroups], im[kGroups];
  const auto left = [&](int g) { return s.mode_end - (mode + g * kLanes); };
  for (int g = 0; g < kGroups; ++g) {
    const int64_t at = mode + g * kLanes;
    decay_re[g] = LoadPartial(s.decay + at, left(g), 0);
    decay_im[g] = LoadPartial(s.decay + s.modes + at, left(g), 0);
    re[g] = LoadPartial(s.from + at, left(g), 0);
    im[g] = LoadPartial(s.from + s.modes + at, left(g), 0);
  }
  for (int64_t t = 0; t < s.length; ++t) {
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      float* x = s.x + t * s.x_stride + mode + g * kLanes;
      const F16 x_re = LoadPartial(x, left(g), 0);
      const F16 x_im = LoadPartial(x + s.modes, left(g), 0);
      const F16 old = re[g];
      re[g] = NegatedFma(decay_im[g], im[g], Fma(decay_re[g], old, x_re));
      im[g] = Fma(decay_im[g], old, Fma(decay_re[g], im[g], x_im));
      StorePartial(x, re[g], left(g));
      StorePartial(x + s.modes, im[g], left(g));
    }
  }
  for (int g = 0; g < kGroups; ++g) {
    const int64_t at = mode + g * kLanes;
    StorePartial(s.to + at, re[g], left(g));
    StorePartial(s.to + s.modes + at, im[g], left(g));
  }
}

void ComplexScanShare(const ComplexShare& s) {
  int64_t mode = s.mode_begin;
  for (; mode + kComplexGroups * kLanes <= s.mode_end; mode += kComplexGroups * kLanes) {
    ScanComplexGroups<kComplexGroups>(s, mode);
  }
  for (; mode < s.mode_end; mode += kLanes) ScanComplexGroups<1>(s, mode);
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_COMPLEX_KERNEL_H_
