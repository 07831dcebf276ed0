// Matrix products of rows that are rounded to bf16 against bf16 panels (pack.h), two inputs at a
// time: the tiles, blocks and runs of matmul_kernel.h. Include after it and a dot_*_bf16.h.
// Internal linkage.
//
// Each output has one accumulator, which takes pairs of inputs in ascending order, as the pair's
// instruction does, within a run; runs are added in ascending order.
#ifndef SSMD_KERNELS_CPU_ROUNDED_KERNEL_H_
#define SSMD_KERNELS_CPU_ROUNDED_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/matmul_kernel.h"

namespace ssmd::kernels::cpu {
namespace {

static_assert(kRoundedRowUnit == 2 * kLanes);
static_assert(kMaxRoundedRows <= kRowBlock);

void RoundRow(const RowToRound& row) {
  uint32_t* pairs = row.pairs;
  for (int64_t k = 0; k < row.inputs; k += kRoundedRowUnit, pairs += kLanes) {
    const int64_t n = row.inputs - k;
    const F16 first = LoadPartial(row.x + k, n, 0);
    const F16 second = n > kLanes ? LoadPartial(row.x + k + kLanes, n - kLanes, 0) : Broadcast(0);
    RoundToPairs(first, second, pairs);
  }
}

// Where the number of inputs is odd, the last pair's second input and weight are zero.
template <int kRows, int kPanels>
inline void Accumulate(const uint32_t* const (&x)[kRows], const WeightBlock<uint16_t>& weights,
                       PrefetchPlan plan, F16 (&acc)[kRows][kPanels]) {
  const uint16_t* line = weights.first;
  const int64_t end = (weights.end + 1) / 2;
  for (int64_t pair = weights.begin / 2; pair < end; ++pair, line += 2 * kPanel) {
    Pairs16 w[kPanels];
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) {
      w[p] = LoadPairs(line + p * weights.panel_stride);
      Prefetch(plan.from + p * plan.panel_stride);
    }
    plan.from += plan.step;
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Pairs16 input = BroadcastPair(x[r][pair]);
#pragma GCC unroll 4
      for (int p = 0; p < kPanels; ++p) AddPairProducts(w[p], input, acc[r][p]);
    }
  }
}

template <int kMaxRows, int kPanels>
void AdvanceBlock(const RoundedProduct& p, const WeightBlock<uint16_t>& weights,
                  RowBlock<kPanels>& block) {
  const int64_t tiles = (block.rows + kMaxRows - 1) / kMaxRows;
  AdvanceTiles<kMaxRows>(p, weights, tiles, weights.first, block);
}

void MultiplyRounded(const RoundedProduct& product) {
  if (product.rows <= kLowTileRows) {
    MultiplyRows<kLowTileRows, kLowTilePanels, uint16_t>(product, 0, product.rows);
  } else {
    MultiplyRows<kTileRows, kTilePanels, uint16_t>(product, 0, product.rows);
  }
}

constexpr KernelTable WithRoundedProducts(KernelTable kernels) {
  kernels.round_row = RoundRow;
  kernels.multiply_rounded = MultiplyRounded;
  return kernels;
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_ROUNDED_KERNEL_H_
