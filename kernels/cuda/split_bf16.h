// Products of f32 matrices on tensor cores: each number is a sum of two in bf16, of which all
// products but that of both low parts are taken. A product is then within 2^−16 of itself, and
// rounding has no bias.
//
// Fragments are those of MmaBf16 (simt.h); g = lane / 4 and q = lane % 4.
#ifndef SSMD_KERNELS_CUDA_SPLIT_BF16_H_
#define SSMD_KERNELS_CUDA_SPLIT_BF16_H_

#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda {

// Two neighbours: of each the high part, and of each the low part.
struct SplitPair {
  uint32_t high, low;
};
SIMT_DEVICE SplitPair Split(float first, float second) {
  const uint32_t high = PackBf16(first, second);
  return {high, PackBf16(first - FloatOf(high << 16), second - FloatOf(high & 0xFFFF0000u))};
}

struct SplitA {
  uint32_t high[4], low[4];

  SIMT_DEVICE void Set(int i, const SplitPair& pair) {
    high[i] = pair.high;
    low[i] = pair.low;
  }
};
struct SplitB {
  uint32_t high[2], low[2];
};

// d += a · b; small products first.
SIMT_DEVICE void MmaSplit(float (&d)[4], const SplitA& a, const SplitB& b) {
  MmaBf16(d, a.low, b.high);
  MmaBf16(d, a.high, b.low);
  MmaBf16(d, a.high, b.high);
}

// Rows of split numbers in shared memory, a word a pair of neighbours. Padding puts the words that
// a warp takes together into different banks.
template <int kRows, int kWords>
struct SplitRows {
  static_assert(kWords % 8 == 0);
  uint32_t high[kRows][kWords + 4];
  uint32_t low[kRows][kWords + 4];

  SIMT_DEVICE void Set(int row, int word, const SplitPair& pair) {
    high[row][word] = pair.high;
    low[row][word] = pair.low;
  }
  // Rows [first, first + 16), numbers [16k, 16k + 16) of each.
  SIMT_DEVICE SplitA OperandA(int first, int k, int lane) const {
    SplitA a;
    SIMT_UNROLL for (int i = 0; i < 4; ++i) {
      const int row = first + lane / 4 + i % 2 * 8;
      const int word = 8 * k + lane % 4 + i / 2 * 4;
      a.Set(i, {high[row][word], low[row][word]});
    }
    return a;
  }
  // The transpose of rows [first, first + 8), numbers [16k, 16k + 16) of each.
  SIMT_DEVICE SplitB OperandB(int first, int k, int lane) const {
    const int row = first + lane / 4;
    const int word = 8 * k + lane % 4;
    return {{high[row][word], high[row][word + 4]}, {low[row][word], low[row][word + 4]}};
  }
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_SPLIT_BF16_H_
