// Rows that a block holds in registers, 16 bytes at a time, and the sum of their squares.
#ifndef SSMD_KERNELS_CUDA_ROW_SUMS_FAST_H_
#define SSMD_KERNELS_CUDA_ROW_SUMS_FAST_H_

#include "kernels/cuda/simt.h"
#include "kernels/cuda/vectors.h"

namespace ssmd::kernels::cuda {

inline constexpr int kFastRowThreads = 256;
// Columns that a vector of each thread covers, and vectors of a thread at most.
inline constexpr int64_t kFastRowSpan = 4 * kFastRowThreads;
inline constexpr int64_t kFastRowVectors = 8;

struct RowOfWarps {
  float sums[kFastRowThreads / kWarpThreads];
};

// A thread adds its squares in ascending order, a warp by halves, the block its warps ascending.
// Threads get the same sum. Columns that a thread has not are zero.
template <int kVectors>
SIMT_DEVICE float SumSquaresFast(const Block& block, const Floats4 (&values)[kVectors],
                                 RowOfWarps& warps) {
  float sum = 0;
  SIMT_UNROLL for (int i = 0; i < kVectors; ++i) {
    SIMT_UNROLL for (int k = 0; k < 4; ++k) {
      const float value = Component(values[i], k);
      sum = Fma(value, value, sum);
    }
  }
  SIMT_UNROLL for (int step = 16; step > 0; step /= 2) sum += block.ShuffleXor(sum, step);
  if (block.lane() == 0) warps.sums[block.warp()] = sum;
  block.Sync();
  float total = 0;
  for (const float of_warp : warps.sums) total += of_warp;
  return total;
}

// Calls launch(Vectors<n>()) with as many as `cols` need. REQUIRES: cols <= what all may cover.
template <int kVectors>
struct Vectors {
  static constexpr int kCount = kVectors;
};
template <typename Launcher>
void WithVectorsFor(int64_t cols, const Launcher& launch) {
  if (cols <= kFastRowSpan) {
    launch(Vectors<1>());
  } else if (cols <= 2 * kFastRowSpan) {
    launch(Vectors<2>());
  } else if (cols <= 4 * kFastRowSpan) {
    launch(Vectors<4>());
  } else {
    launch(Vectors<kFastRowVectors>());
  }
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_ROW_SUMS_FAST_H_
