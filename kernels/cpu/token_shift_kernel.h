// Mixtures of tokens with those before them, over some channels of a segment. Include after a
// vec_*.h and vec_math.h. Internal linkage.
#ifndef SSMD_KERNELS_CPU_TOKEN_SHIFT_KERNEL_H_
#define SSMD_KERNELS_CPU_TOKEN_SHIFT_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace ssmd::kernels::cpu {
namespace {

// The 16 channels from `c` on of token t, whose predecessor is at `before`.
inline void MixChannels(const TokenShiftShare& s, int64_t t, const float* before, int64_t c) {
  const int64_t n = s.channels - c;
  const F16 x = LoadPartial(s.x + t * s.x_stride + c, n, 0);
  const F16 step = LoadPartial(before + c, n, 0) - x;
  for (int i = 0; i < s.count; ++i) {
    F16 mix = LoadPartial(s.mix[i] + c, n, 0);
    if (s.delta[i] != nullptr) mix = mix + LoadPartial(s.delta[i] + t * s.delta_stride + c, n, 0);
    StorePartial(s.out[i] + t * s.out_stride + c, Fma(step, mix, x), n);
  }
}

void ShiftTokens(const TokenShiftShare& s) {
  const float* before = s.from;
  for (int64_t t = 0; t < s.length; ++t) {
    for (int64_t c = 0; c < s.channels; c += kLanes) MixChannels(s, t, before, c);
    before = s.x + t * s.x_stride;
  }
  if (s.to == nullptr) return;
  for (int64_t c = 0; c < s.channels; ++c) s.to[c] = before[c];
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_TOKEN_SHIFT_KERNEL_H_
