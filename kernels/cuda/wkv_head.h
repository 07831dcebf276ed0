// What the recurrences over a head's matrix share: a block takes a head of a segment, a thread one
// column of its matrix, which stays in global memory (and so in the caches) while tokens go by.
#ifndef SSMD_KERNELS_CUDA_WKV_HEAD_H_
#define SSMD_KERNELS_CUDA_WKV_HEAD_H_

#include "kernels/cuda/row_sums.h"
#include "kernels/cuda/simt.h"
#include "kernels/wkv_ops.h"

namespace ssmd::kernels::cuda {

inline constexpr int kWkvThreads = static_cast<int>(kMaxWkvHead);
// Of a block: whole warps.
inline int WkvThreadsOf(int64_t head_dim) {
  return static_cast<int>((head_dim + kWarpThreads - 1) / kWarpThreads) * kWarpThreads;
}

// A sum over a head in sixteen lanes and a tree: `sum` of a lane becomes add(sum, i). All threads
// get it, by `*result` in shared memory, which no thread may still read.
template <typename Add>
SIMT_DEVICE float SumOverHead(const Block& block, int64_t head_dim, float* result, const Add& add) {
  if (block.warp() == 0) {
    float sum = 0;
    for (int i = block.lane() % 16; i < head_dim; i += 16) sum = add(sum, i);
    sum = SumLanes(block, sum);
    if (block.lane() == 0) *result = sum;
  }
  block.Sync();
  return *result;
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_WKV_HEAD_H_
