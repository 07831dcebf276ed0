// What up to eight rows are multiplied by in RmsNorm, with its bits (norm_fast.cu), by four warps:
// of the eight that add up a row there, each takes two.
#ifndef SSMD_KERNELS_CUDA_PRODUCT_NORM_H_
#define SSMD_KERNELS_CUDA_PRODUCT_NORM_H_

#include "kernels/cuda/rounded_rows.h"
#include "kernels/cuda/row_sums_fast.h"

namespace ssmd::kernels::cuda::fast {

inline constexpr int kNormWarps = kFastRowThreads / kWarpThreads;

struct RowsOfWarps {
  float sums[kCoreRows][kNormWarps];
};

// Rows that are taken together, so that their loads are on their way at once.
inline constexpr int kNormRows = 4;

// The scale of row `mine`, each thread's own; 0 where it does not exist. REQUIRES: a block of 128
// threads, rows of cols % 4 == 0 that are aligned to 16 bytes.
SIMT_DEVICE float NarrowNormScale(const Block& block, const float* x, int64_t stride, int64_t rows,
                                  int64_t cols, float eps, int mine, RowsOfWarps& shared) {
  constexpr int kPerWarp = 2;
  constexpr int kApart = kNormWarps / kPerWarp;
  for (int64_t first = 0; first < rows; first += kNormRows) {
    float sums[kNormRows][kPerWarp] = {};
    for (int64_t span = 0; span < cols; span += kFastRowSpan) {
      Floats4 values[kNormRows][kPerWarp];
      SIMT_UNROLL for (int r = 0; r < kNormRows; ++r) {
        SIMT_UNROLL for (int i = 0; i < kPerWarp; ++i) {
          const int warp = block.warp() + i * kApart;
          const int64_t column = span + 4 * (warp * kWarpThreads + block.lane());
          const bool inside = first + r < rows && column < cols;
          values[r][i] = inside ? Load4(x + (first + r) * stride + column) : Floats4{};
        }
      }
      SIMT_UNROLL for (int r = 0; r < kNormRows; ++r) {
        SIMT_UNROLL for (int i = 0; i < kPerWarp; ++i) AddSquares(values[r][i], sums[r][i]);
      }
    }
    SIMT_UNROLL for (int r = 0; r < kNormRows; ++r) {
      SIMT_UNROLL for (int i = 0; i < kPerWarp; ++i) {
        const float sum = SumOfLanes(block, sums[r][i]);
        if (block.lane() == 0) shared.sums[first + r][block.warp() + i * kApart] = sum;
      }
    }
  }
  block.Sync();
  if (mine >= rows) return 0;
  float total = 0;
  for (const float of_warp : shared.sums[mine]) total += of_warp;
  return RmsScale(total, cols, eps);
}

}  // namespace ssmd::kernels::cuda::fast

#endif  // SSMD_KERNELS_CUDA_PRODUCT_NORM_H_
