// An input as the parts that the tensor core takes of it (rounded_rows.h).
#ifndef SSMD_KERNELS_CUDA_ROUNDING_H_
#define SSMD_KERNELS_CUDA_ROUNDING_H_

#include "kernels/cuda/bf16.h"
#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda::fast {

// Inputs that a thread rounds together: half of a core matrix's row.
inline constexpr int kQuad = 4;

// Two words a part, and the sum of the first parts.
template <int kParts>
struct RoundedQuad {
  Words2 words[kParts];
  float sum;
};

// The bits of each part, the high one first. Returns the value of that.
template <bool kHalves, int kParts>
SIMT_DEVICE float RoundInput(float x, uint32_t (&parts)[kParts]) {
  if constexpr (kHalves) {
    static_assert(kParts == 1);
    parts[0] = FloatToHalf(x);
    return HalfToFloat(static_cast<uint16_t>(parts[0]));
  } else {
    parts[0] = Bf16Bits(x);
    const float first = FloatOf(parts[0] << 16);
    float rest = x - first;
    for (int part = 1; part < kParts; ++part) {
      parts[part] = Bf16Bits(rest);
      rest = rest - FloatOf(parts[part] << 16);
    }
    return first;
  }
}

template <bool kHalves, int kParts>
SIMT_DEVICE RoundedQuad<kParts> RoundQuad(const float (&x)[kQuad]) {
  uint32_t parts[kQuad][kParts];
  float values[kQuad];
  for (int i = 0; i < kQuad; ++i) values[i] = RoundInput<kHalves>(x[i], parts[i]);
  RoundedQuad<kParts> quad;
  for (int part = 0; part < kParts; ++part) {
    quad.words[part] = {parts[0][part] | parts[1][part] << 16,
                        parts[2][part] | parts[3][part] << 16};
  }
  quad.sum = (values[0] + values[1]) + (values[2] + values[3]);
  return quad;
}

// The sum of a group of 32 inputs, whose quads' sums are in eight lanes that differ in the bits of
// `first_bit` · 7.
SIMT_DEVICE float SumOfGroup(const Block& block, float quad, int first_bit) {
  float sum = quad;
  for (int bit = first_bit; bit < 8 * first_bit; bit *= 2) sum = sum + block.ShuffleXor(sum, bit);
  return sum;
}

}  // namespace ssmd::kernels::cuda::fast

#endif  // SSMD_KERNELS_CUDA_ROUNDING_H_
