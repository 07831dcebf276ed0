// Causal convolution and SiLU of one segment, over a share of its channels. Include after a vec_*.h
// and vec_math.h. Internal linkage.
//
// The ring is read while the segment's own inputs do not yet reach back far enough, and written at
// the end, so that ring_to may be ring_from.
#ifndef SSMD_KERNELS_CPU_CONV_KERNEL_H_
#define SSMD_KERNELS_CPU_CONV_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int64_t kMaxTaps = 64;  // kMaxConvWidth of ops.h

// Ring column of the input at `position` (which may be negative: a fresh ring is all zeros).
inline int64_t RingColumn(int64_t position, int64_t columns) {
  const int64_t column = position % columns;
  return column < 0 ? column + columns : column;
}

// inputs[w] = the row that tap w of token t multiplies.
inline void FindInputs(const ConvShare& s, int64_t t, const float** inputs) {
  for (int64_t w = 0; w < s.width; ++w) {
    const int64_t token = t - (s.width - 1) + w;
    inputs[w] = token >= 0 ? s.x + token * s.x_stride
                           : s.ring_from + RingColumn(s.position + token, s.width - 1) * s.channels;
  }
}

inline void ConvolveToken(const ConvShare& s, const float* const* inputs, float* out) {
  for (int64_t c = s.channel_begin; c < s.channel_end; c += kLanes) {
    const int64_t n = s.channel_end - c;
    F16 sum = s.bias != nullptr ? LoadPartial(s.bias + c, n, 0) : Broadcast(0);
    for (int64_t w = 0; w < s.width; ++w) {
      sum = Fma(LoadPartial(s.weight + w * s.channels + c, n, 0), LoadPartial(inputs[w] + c, n, 0),
                sum);
    }
    StorePartial(out + c, Silu(sum), n);
  }
}

inline void CopyChannels(const ConvShare& s, const float* from, float* to) {
  for (int64_t c = s.channel_begin; c < s.channel_end; ++c) to[c] = from[c];
}

// Columns hold the last width − 1 inputs: of the segment where it has them, else of the old ring.
inline void UpdateRing(const ConvShare& s) {
  const int64_t columns = s.width - 1;
  for (int64_t age = 1; age <= columns; ++age) {
    const int64_t token = s.length - age;
    float* to = s.ring_to + RingColumn(s.position + token, columns) * s.channels;
    if (token >= 0) {
      CopyChannels(s, s.x + token * s.x_stride, to);
    } else if (s.ring_to != s.ring_from) {
      CopyChannels(s, s.ring_from + (to - s.ring_to), to);
    }
  }
}

void ConvSiluShare(const ConvShare& s) {
  const float* inputs[kMaxTaps];
  for (int64_t t = 0; t < s.length; ++t) {
    FindInputs(s, t, inputs);
    ConvolveToken(s, inputs, s.out + t * s.out_stride);
  }
  if (s.width > 1) UpdateRing(s);
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_CONV_KERNEL_H_
