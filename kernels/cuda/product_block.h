// A block of 64 inputs in the fast product: the rows' inputs in shared memory, and what is added
// up of them. By products of warps or of warpgroups, which differ in who has which outputs, and
// whose sums differ at most in how a unit adds 16 products.
#ifndef SSMD_KERNELS_CUDA_PRODUCT_BLOCK_H_
#define SSMD_KERNELS_CUDA_PRODUCT_BLOCK_H_

#include "kernels/cuda/fragments.h"
#include "kernels/cuda/product_parts.h"
#include "kernels/cuda/rounded_rows.h"
#include "kernels/cuda/wgmma.h"

namespace ssmd::kernels::cuda::fast {

inline constexpr int kGroupCores = kBlockCores / kBlockGroups;

template <typename Kind, int kRows>
struct InputBlock {
  alignas(16) uint32_t x[Kind::kParts][kBlockCores][kRows][4];
  alignas(16) float sums[kBlockGroups][Kind::kQ4 ? kRows : 4];
};

// Inputs of block b of the rows from `first` on, by all threads of the block. Of the rows that
// there are: what the rest holds goes to no output.
template <typename Kind, int kRows, int kThreads>
SIMT_DEVICE void CopyInputs(const Block& block, const RoundedRows& x, int64_t first, int64_t b,
                            InputBlock<Kind, kRows>& to) {
  const int64_t rows = x.padded_rows;
  for (int i = block.thread(); i < Kind::kParts * kBlockCores * kRows; i += kThreads) {
    const int64_t row = first + i % kRows;
    const int core = i / kRows % kBlockCores;
    const int part = i / kRows / kBlockCores;
    if (row >= rows) continue;
    const auto* from = reinterpret_cast<const Words4*>(x.rows + part * x.part_bytes);
    AsyncCopy16(to.x[part][core][i % kRows], from + (b * kBlockCores + core) * rows + row);
  }
  if constexpr (Kind::kQ4) {
    static_assert(kBlockGroups * kRows / 4 <= kThreads);
    const int row = block.thread() % (kRows / 4) * 4;
    const int group = block.thread() / (kRows / 4);
    if (group >= kBlockGroups || first + row >= rows) return;
    AsyncCopy16(&to.sums[group][row], x.sums + (b * kBlockGroups + group) * rows + first + row);
  }
}

// A warp's sums: units of 16 outputs × tiles of eight rows.
template <int kUnits, int kRowTiles>
using Sums = float[kUnits][kRowTiles][4];

// Adds a block's products of a warp, with the rows from `first_row` of the tile on; tiles of rows
// from `rows` on are left out. `unpack(unit, group)` gives weights.
template <typename Kind, int kRows, int kUnits, int kRowTiles, typename Unpack>
SIMT_DEVICE void AddBlockByWarp(const Block& block, const InputBlock<Kind, kRows>& inputs,
                                int first_row, int64_t rows, const Unpack& unpack,
                                Sums<kUnits, kRowTiles>& acc) {
  const int g = block.lane() / 4;
  const int q = block.lane() % 4;
  for (int group = 0; group < kBlockGroups; ++group) {
    GroupWeights<Kind> a[kUnits];
    SIMT_UNROLL for (int u = 0; u < kUnits; ++u) a[u] = unpack(u, group);
    SIMT_UNROLL for (int n = 0; n < kRowTiles; ++n) {
      const int row = first_row + n * kCoreRows;
      if (row >= rows) break;
      GroupInputs<Kind> b = {};
      for (int core = 0; core < kGroupCores; ++core) {
        for (int part = 0; part < Kind::kParts; ++part) {
          b.b[core / 2][part][core % 2] = inputs.x[part][group * kGroupCores + core][row + g][q];
        }
      }
      if constexpr (Kind::kQ4) {
        for (int i = 0; i < 2; ++i) b.sums[i] = inputs.sums[group][row + 2 * q + i];
      }
      SIMT_UNROLL for (int u = 0; u < kUnits; ++u) AddGroup<Kind>(a[u], b, acc[u][n]);
    }
  }
}

// Adds the products of a group to `sums`, or makes them of it where `fresh`, in AddGroup's order.
template <typename Kind, int kRows, int kRowTiles>
SIMT_DEVICE void MultiplyByWarpgroup(const GroupWeights<Kind>& a,
                                     const InputBlock<Kind, kRows>& inputs, int group, bool fresh,
                                     float (&sums)[kRowTiles][4]) {
  SIMT_UNROLL for (int t = 0; t < kGroupTiles; ++t) {
    SIMT_UNROLL for (int part = 0; part < Kind::kParts; ++part) {
      const int core = group * kGroupCores + t * 2;
      const SharedOperand b = {inputs.x[part][core][0], kRows * 16};
      SIMT_UNROLL for (int w = 0; w < Kind::kWeightParts; ++w) {
        const bool add = !fresh || t + part + w > 0;
        if constexpr (Kind::kHalves) {
          WarpgroupMmaF16(sums, a.a[t][w], b, add);
        } else {
          WarpgroupMmaBf16(sums, a.a[t][w], b, add);
        }
      }
    }
  }
}

// A quantised group's products, scaled.
template <typename Kind, int kRows, int kRowTiles>
SIMT_DEVICE void AddGroupByWarpgroup(const Block& block, const GroupWeights<Kind>& a,
                                     const InputBlock<Kind, kRows>& inputs, int group,
                                     float (&acc)[kRowTiles][4]) {
  float sums[kRowTiles][4];
  WarpgroupBegin();
  MultiplyByWarpgroup(a, inputs, group, true, sums);
  WarpgroupEnd(sums);
  SIMT_UNROLL for (int n = 0; n < kRowTiles; ++n) {
    float row_sums[2] = {};
    if constexpr (Kind::kQ4) {
      const int row = n * kCoreRows + block.lane() % 4 * 2;
      for (int i = 0; i < 2; ++i) row_sums[i] = inputs.sums[group][row + i];
    }
    ScaleGroup(a, sums[n], row_sums, acc[n]);
  }
}

// Adds a block's products of a warpgroup, of 64 outputs and all rows of the tile.
template <typename Kind, int kRows, int kRowTiles, typename Unpack>
SIMT_DEVICE void AddBlockByWarpgroup(const Block& block, const InputBlock<Kind, kRows>& inputs,
                                     const Unpack& unpack, Sums<1, kRowTiles>& acc) {
  static_assert(kRowTiles * kCoreRows == kRows);
  GroupWeights<Kind> a[kBlockGroups];
  SIMT_UNROLL for (int group = 0; group < kBlockGroups; ++group) a[group] = unpack(0, group);
  if constexpr (Kind::kGroups) {
    SIMT_UNROLL for (int group = 0; group < kBlockGroups; ++group) {
      AddGroupByWarpgroup(block, a[group], inputs, group, acc[0]);
    }
  } else {
    WarpgroupBegin();
    SIMT_UNROLL for (int group = 0; group < kBlockGroups; ++group) {
      MultiplyByWarpgroup(a[group], inputs, group, false, acc[0]);
    }
    WarpgroupEnd(acc[0]);
  }
}

}  // namespace ssmd::kernels::cuda::fast

#endif  // SSMD_KERNELS_CUDA_PRODUCT_BLOCK_H_
