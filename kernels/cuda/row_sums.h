// The sum of squares of a row in the order of cpu/norm_kernel.h: sixteen lanes (column mod 16),
// each ascending by FMA, then a tree. A block brings the row into shared memory a tile at a time;
// its first warp adds up.
#ifndef SSMD_KERNELS_CUDA_ROW_SUMS_H_
#define SSMD_KERNELS_CUDA_ROW_SUMS_H_

#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda {

inline constexpr int kRowTile = 2048;  // floats
struct RowTile {
  float values[kRowTile];
  float sum;
};

// value(c) of each column is asked for once, by the thread that has c mod threads(). All threads
// get the sum.
template <typename Value>
SIMT_DEVICE float SumSquares(const Block& block, RowTile& tile, int64_t cols, const Value& value) {
  const int lane = block.thread() % 16;
  float squares = 0;
  for (int64_t first = 0; first < cols; first += kRowTile) {
    const int count = static_cast<int>(cols - first < kRowTile ? cols - first : kRowTile);
    for (int i = block.thread(); i < count; i += block.threads()) {
      tile.values[i] = value(first + i);
    }
    block.Sync();
    if (block.warp() == 0) {
      for (int i = lane; i < count; i += 16) {
        squares = Fma(tile.values[i], tile.values[i], squares);
      }
    }
    block.Sync();
  }
  // Both halves of the warp have the same lanes.
  for (int step = 8; step > 0; step /= 2) squares += block.ShuffleXor(squares, step);
  if (block.thread() == 0) tile.sum = squares;
  block.Sync();
  return tile.sum;
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_ROW_SUMS_H_
