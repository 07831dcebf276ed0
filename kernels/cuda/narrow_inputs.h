// Blocks of 64 inputs of up to eight rows, which 128 threads round into shared memory: a thread has
// four inputs of a row.
#ifndef SSMD_KERNELS_CUDA_NARROW_INPUTS_H_
#define SSMD_KERNELS_CUDA_NARROW_INPUTS_H_

#include "kernels/cuda/product_block.h"
#include "kernels/cuda/rounding.h"

namespace ssmd::kernels::cuda::fast {

template <typename Kind>
using NarrowInputs = InputBlock<Kind, kCoreRows>;

// A thread's row, and its four inputs of a block: eight lanes that are four apart have a group.
inline constexpr int kNarrowQuads = kBlockInputs / kBlockGroups / kQuad;  // of a group
SIMT_DEVICE int NarrowRowOf(const Block& block) { return block.warp() / 2 * 4 + block.lane() % 4; }
SIMT_DEVICE int NarrowQuadOf(const Block& block) {
  return block.warp() % 2 * kNarrowQuads + block.lane() / 4;
}

// All threads of the block.
template <typename Kind>
SIMT_DEVICE void StoreNarrowInputs(const Block& block, const float (&x)[kQuad],
                                   NarrowInputs<Kind>& to) {
  const int row = NarrowRowOf(block);
  const int quad = NarrowQuadOf(block);
  const auto rounded = RoundQuad<Kind::kHalves, Kind::kParts>(x);
  for (int part = 0; part < Kind::kParts; ++part) {
    *reinterpret_cast<Words2*>(&to.x[part][quad / 2][row][quad % 2 * 2]) = rounded.words[part];
  }
  if constexpr (Kind::kQ4) {
    const float sum = SumOfGroup(block, rounded.sum, 4);
    if (quad % kNarrowQuads == 0) to.sums[quad / kNarrowQuads][row] = sum;
  }
}

}  // namespace ssmd::kernels::cuda::fast

#endif  // SSMD_KERNELS_CUDA_NARROW_INPUTS_H_
