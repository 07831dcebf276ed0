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

// A vector's squares, ascending.
SIMT_DEVICE void AddSquares(const Floats4& values, float& sum) {
  SIMT_UNROLL for (int k = 0; k < 4; ++k) {
    sum = Fma(Component(values, k), Component(values, k), sum);
  }
}

// By halves. All lanes of a warp, which get the same.
SIMT_DEVICE float SumOfLanes(const Block& block, float sum) {
  SIMT_UNROLL for (int step = 16; step > 0; step /= 2) sum += block.ShuffleXor(sum, step);
  return sum;
}

// A thread adds its squares in ascending order, a warp by halves, the block its warps ascending.
// Threads get the same sum. Columns that a thread has not are zero.
template <int kVectors>
SIMT_DEVICE float SumSquaresFast(const Block& block, const Floats4 (&values)[kVectors],
                                 RowOfWarps& warps) {
  float sum = 0;
  SIMT_UNROLL for (int i = 0; i < kVectors; ++i) AddSquares(values[i], sum);
  sum = SumOfLanes(block, sum);
  if (block.lane() == 0) warps.sums[block.warp()] = sum;
  block.Sync();
  float total = 0;
  for (const float of_warp : warps.sums) total += of_warp;
  return total;
}

// The share of warp `warp` of that block, by any warp. All its lanes get it. Columns that do not
// exist add nothing, as zeros do.
SIMT_DEVICE float SumSquaresOfWarp(const Block& block, const float* x, int64_t cols, int warp) {
  float sum = 0;
  for (int64_t column = 4 * (warp * kWarpThreads + block.lane()); column < cols;
       column += kFastRowSpan) {
    AddSquares(Load4(x + column), sum);
  }
  return SumOfLanes(block, sum);
}

// What a row is multiplied by.
SIMT_DEVICE float RmsScale(float sum_of_squares, int64_t cols, float eps) {
  const float mean = Divide(sum_of_squares, static_cast<float>(cols));
  return Divide(1.0f, Sqrt(mean + eps));
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
