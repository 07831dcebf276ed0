// Weights that go from memory to registers: each lane of a panel's four warps reads its own
// fragments, 16 bytes at a time, some blocks of inputs ahead. For products that read each weight
// once.
#ifndef SSMD_KERNELS_CUDA_LANE_WEIGHTS_H_
#define SSMD_KERNELS_CUDA_LANE_WEIGHTS_H_

#include "kernels/cuda/fragments.h"
#include "kernels/cuda/product_block.h"
#include "kernels/cuda/product_parts.h"

namespace ssmd::kernels::cuda::fast {

// A lane's weights of a block of inputs.
template <typename Kind>
struct LaneWeights {
  Words4 chunks[Kind::kChunks];
  uint32_t factors[Kind::kFactorWords > 0 ? Kind::kFactorWords : 1];
};

template <typename Kind>
SIMT_DEVICE LaneWeights<Kind> LoadWeights(const Block& block, const WeightView& w,
                                          const std::byte* panel, int64_t b) {
  LaneWeights<Kind> weights;
  const auto* chunks = reinterpret_cast<const Words4*>(panel + b * Kind::kCodeBytes);
  for (int i = 0; i < Kind::kChunks; ++i) {
    weights.chunks[i] = LoadStreaming(chunks + i * kPanelLanes + block.thread());
  }
  if constexpr (Kind::kGroups) {
    const int pair = block.warp() * 8 + block.lane() / 4;
    const auto* factors =
        reinterpret_cast<const uint64_t*>(panel + w.factor_offset + b * Kind::kFactorBytes);
    constexpr int kPairs = Kind::kFactorWords / 2;
    for (int i = 0; i < kPairs; ++i) {
      const uint64_t two = LoadReadOnly(factors + pair * kPairs + i);
      weights.factors[2 * i] = static_cast<uint32_t>(two);
      weights.factors[2 * i + 1] = static_cast<uint32_t>(two >> 32);
    }
  }
  return weights;
}

template <typename Kind>
SIMT_DEVICE GroupWeights<Kind> UnpackGroup(const LaneWeights<Kind>& weights, int group) {
  return UnpackGroup<Kind>(
      group, [&](int i) { return weights.chunks[i]; }, [&](int i) { return weights.factors[i]; });
}

// The sums of a block of threads that has panel block.x() and segment block.y().
template <typename Kind, int kRowTiles>
SIMT_DEVICE void StoreLaneSums(const Block& block, const ProductOperands& p,
                               const Sums<1, kRowTiles>& sums) {
  const int64_t output = block.x() * kPanelOutputs + block.warp() * 16 + block.lane() / 4;
  SIMT_UNROLL for (int n = 0; n < kRowTiles; ++n) {
    SIMT_UNROLL for (int i = 0; i < 4; ++i) {
      const int64_t row = n * kCoreRows + block.lane() % 4 * 2 + i % 2;
      StoreSum<Kind>(p, block.y(), row, output + i / 2 * 8, sums[0][n][i]);
    }
  }
}

}  // namespace ssmd::kernels::cuda::fast

#endif  // SSMD_KERNELS_CUDA_LANE_WEIGHTS_H_
