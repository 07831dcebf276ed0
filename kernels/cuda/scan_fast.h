// What the fast forms of the Mamba-1 recurrence share, so that they give the same bits: an element
// and its token, and the sum of four runs.
//
// The decay is e^{Δa} − 1 as ever (cpu/scan_kernel.h says why). The special function unit makes it
// where that is far enough from 0 to keep its digits; nearer, a polynomial does, whose error is
// relative to the result: so nothing adds up over a long history.
#ifndef SSMD_KERNELS_CUDA_SCAN_FAST_H_
#define SSMD_KERNELS_CUDA_SCAN_FAST_H_

#include "kernels/cuda/math.h"
#include "kernels/cuda/states.h"

namespace ssmd::kernels::cuda {

// N beyond which both are the plain op.
inline constexpr int64_t kFastScanStates = 64;

// What `a` is multiplied by, so that powers are of 2.
inline constexpr float kLog2OfE = 0x1.715476p+0f;

// 2^t − 1 for t <= 0, within 6e-7 of it, and above −1/2 within 2e-7. The polynomial is (2^t − 1)/t
// on [−1/2, 0].
SIMT_DEVICE float PowerMinus1(float t) {
  float q = Fma(0x1.2ee444p-10f, t, 0x1.38ae68p-7f);
  q = Fma(q, t, 0x1.c6947ap-5f);
  q = Fma(q, t, 0x1.ebfb7p-3f);
  q = Fma(q, t, 0x1.62e43p-1f);
  return t > -0.5f ? t * q : Exp2Approximate(t) - 1.0f;
}

// Advances an element by a token; `rate` is a · log2(e).
SIMT_DEVICE void AdvanceElement(float delta, float delta_x, float b, float c, float rate, float& h,
                                float& sum) {
  const float loss = PowerMinus1(delta * rate);
  h = Fma(delta_x, b, Fma(loss, h, h));
  sum = Fma(c, h, sum);
}

// Lanes 8r + i, for r in [0, 4), have run r of four sums. Returns (run 0 + run 1) + (run 2 + run 3)
// of the lane's r-th sum. All lanes of a warp.
SIMT_DEVICE float SumRuns(const Block& block, const float (&sums)[kRuns]) {
  const bool odd = (block.lane() & 8) != 0;
  const bool high = (block.lane() & 16) != 0;
  const float low_pair = (odd ? sums[1] : sums[0]) + block.ShuffleXor(odd ? sums[0] : sums[1], 8);
  const float high_pair = (odd ? sums[3] : sums[2]) + block.ShuffleXor(odd ? sums[2] : sums[3], 8);
  return (high ? high_pair : low_pair) + block.ShuffleXor(high ? low_pair : high_pair, 16);
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_SCAN_FAST_H_
