// Sums over a row in the order of cpu/norm_kernel.h: sixteen lanes (column mod 16), each ascending
// (squares by FMA), then a tree. A block brings the row into shared memory a tile at a time;
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

// The tree over sixteen lanes, each of which two threads of the warp have.
SIMT_DEVICE float SumLanes(const Block& block, float lane) {
  for (int step = 8; step > 0; step /= 2) lane += block.ShuffleXor(lane, step);
  return lane;
}

// `sum` of a lane becomes add(sum, value(c)) with each of its columns. value(c) of each column is
// asked for once, by the thread that has c mod threads(). All threads get the sum.
template <typename Value, typename Add>
SIMT_DEVICE float SumColumns(const Block& block, RowTile& tile, int64_t cols, const Value& value,
                             const Add& add) {
  const int lane = block.thread() % 16;
  float sum = 0;
  for (int64_t first = 0; first < cols; first += kRowTile) {
    const int count = static_cast<int>(cols - first < kRowTile ? cols - first : kRowTile);
    for (int i = block.thread(); i < count; i += block.threads()) {
      tile.values[i] = value(first + i);
    }
    block.Sync();
    if (block.warp() == 0) {
      for (int i = lane; i < count; i += 16) sum = add(sum, tile.values[i]);
    }
    block.Sync();
  }
  sum = SumLanes(block, sum);
  if (block.thread() == 0) tile.sum = sum;
  block.Sync();
  return tile.sum;
}

template <typename Value>
SIMT_DEVICE float SumSquares(const Block& block, RowTile& tile, int64_t cols, const Value& value) {
  return SumColumns(block, tile, cols, value, [](float sum, float x) { return Fma(x, x, sum); });
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_ROW_SUMS_H_
