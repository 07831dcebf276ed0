// The fast product (product_fast.h) of up to 64 rows.
//
// A block of threads has a panel of 64 outputs and a segment of the inputs, a warp 16 outputs and
// all rows. Each lane reads its own fragments of the weights, 16 bytes at a time and kDepth blocks
// of inputs ahead, straight into registers. The rows' inputs, which all warps need, come through a
// ring of blocks in shared memory.
#ifndef SSMD_KERNELS_CUDA_PRODUCT_FEW_H_
#define SSMD_KERNELS_CUDA_PRODUCT_FEW_H_

#include "kernels/cuda/product_block.h"

namespace ssmd::kernels::cuda::fast {

// Up to 8 · kRowTiles rows, by products of warps or of the block's warpgroup.
template <typename Kind, int kRowTiles, bool kWarpgroup>
struct FewRows {
  static constexpr char kName[] = "product_few";
  static constexpr int kThreads = kPanelLanes;
  // Blocks of inputs whose weights are on their way: ten loads of a thread or more.
  static constexpr bool kNarrow = kRowTiles <= 2;
  static constexpr int kDepth = Kind::kChunks == 4 ? (kNarrow ? 4 : 3) : (kNarrow ? 8 : 5);
  // Blocks of inputs in shared memory.
  static constexpr int kSlots = 4;
  static constexpr int kRows = kRowTiles * kCoreRows;

  using Args = ProductOperands;
  using Slot = InputBlock<Kind, kRows>;
  struct Shared {
    Slot slots[kSlots];
  };

  // A lane's weights of a block of inputs.
  struct Weights {
    Words4 chunks[Kind::kChunks];
    uint32_t factors[Kind::kFactorWords > 0 ? Kind::kFactorWords : 1];
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    Shared& shared = block.shared<Shared>();
    const int64_t begin = SegmentBegin(args.w.blocks, args.segments, block.y());
    const int64_t end = SegmentBegin(args.w.blocks, args.segments, block.y() + 1);
    const std::byte* panel = args.w.data + block.x() * args.w.panel_bytes;
    Weights weights[kDepth];
    SIMT_UNROLL for (int i = 0; i < kDepth; ++i) {
      if (begin + i < end) weights[i] = LoadWeights(block, args, panel, begin + i);
    }
    for (int i = 0; i < kSlots - 1; ++i) {
      if (begin + i < end)
        CopyInputs<Kind, kRows, kThreads>(block, args.x, 0, begin + i, shared.slots[i]);
      AsyncCommit();
    }
    Sums<1, kRowTiles> acc = {};
    int slot = 0;
    for (int64_t first = begin; first < end; first += kDepth) {
      SIMT_UNROLL for (int i = 0; i < kDepth; ++i) {
        const int64_t b = first + i;
        if (b >= end) break;
        AsyncWait<kSlots - 2>();
        if constexpr (kWarpgroup) ShareWithTensorCore();
        block.Sync();
        if (b + kSlots - 1 < end) {
          CopyInputs<Kind, kRows, kThreads>(block, args.x, 0, b + kSlots - 1,
                                            shared.slots[(slot + kSlots - 1) % kSlots]);
        }
        AsyncCommit();
        AddBlock(block, args, weights[i], shared.slots[slot], acc);
        if (b + kDepth < end) weights[i] = LoadWeights(block, args, panel, b + kDepth);
        slot = (slot + 1) % kSlots;
      }
    }
    StoreSums(block, args, acc);
  }

  SIMT_DEVICE static Weights LoadWeights(const Block& block, const Args& args,
                                         const std::byte* panel, int64_t b) {
    Weights weights;
    const auto* chunks = reinterpret_cast<const Words4*>(panel + b * Kind::kCodeBytes);
    for (int i = 0; i < Kind::kChunks; ++i) {
      weights.chunks[i] = LoadStreaming(chunks + i * kPanelLanes + block.thread());
    }
    if constexpr (Kind::kGroups) {
      const int pair = block.warp() * 8 + block.lane() / 4;
      const auto* factors =
          reinterpret_cast<const uint64_t*>(panel + args.w.factor_offset + b * Kind::kFactorBytes);
      constexpr int kPairs = Kind::kFactorWords / 2;
      for (int i = 0; i < kPairs; ++i) {
        const uint64_t two = LoadReadOnly(factors + pair * kPairs + i);
        weights.factors[2 * i] = static_cast<uint32_t>(two);
        weights.factors[2 * i + 1] = static_cast<uint32_t>(two >> 32);
      }
    }
    return weights;
  }

  SIMT_DEVICE static void AddBlock(const Block& block, const Args& args, const Weights& weights,
                                   const Slot& slot, Sums<1, kRowTiles>& acc) {
    const auto unpack = [&](int /*unit*/, int group) {
      return UnpackGroup<Kind>(
          group, [&](int i) { return weights.chunks[i]; },
          [&](int i) { return weights.factors[i]; });
    };
    if constexpr (kWarpgroup) {
      AddBlockByWarpgroup(block, slot, unpack, acc);
    } else {
      AddBlockByWarp(block, slot, 0, args.x.padded_rows, unpack, acc);
    }
  }

  SIMT_DEVICE static void StoreSums(const Block& block, const Args& args,
                                    const Sums<1, kRowTiles>& acc) {
    const int64_t output = block.x() * kPanelOutputs + block.warp() * 16 + block.lane() / 4;
    SIMT_UNROLL for (int n = 0; n < kRowTiles; ++n) {
      for (int i = 0; i < 4; ++i) {
        const int64_t row = n * kCoreRows + block.lane() % 4 * 2 + i % 2;
        StoreSum<Kind>(args, block.y(), row, output + i / 2 * 8, acc[0][n][i]);
      }
    }
  }
};

template <typename Kind, bool kWarpgroup>
void LaunchFewRows(Stream& stream, const ProductOperands& operands) {
  const Grid grid = {PanelCount(operands.w.outputs), operands.segments};
  const auto launch = [&]<int kRowTiles>() {
    using Kernel = FewRows<Kind, kRowTiles, kWarpgroup>;
    Launch<Kernel>(stream, grid, Kernel::kThreads, operands);
  };
  const int64_t tiles = operands.x.padded_rows / kCoreRows;
  if (tiles <= 1) {
    launch.template operator()<1>();
  } else if (tiles <= 2) {
    launch.template operator()<2>();
  } else if (tiles <= 4) {
    launch.template operator()<4>();
  } else {
    launch.template operator()<8>();
  }
}

}  // namespace ssmd::kernels::cuda::fast

#endif  // SSMD_KERNELS_CUDA_PRODUCT_FEW_H_
