// The fast product (product_fast.h) of up to 64 rows.
//
// A block of threads has a panel of 64 outputs and a segment of the inputs, a warp 16 outputs and
// all rows. Lanes read their weights (lane_weights.h) kDepth blocks of inputs ahead. The rows'
// inputs, which all warps need, come through a ring of blocks in shared memory.
#ifndef SSMD_KERNELS_CUDA_PRODUCT_FEW_H_
#define SSMD_KERNELS_CUDA_PRODUCT_FEW_H_

#include "kernels/cuda/lane_weights.h"
#include "kernels/cuda/product_block.h"

namespace ssmd::kernels::cuda::fast {

// Up to 8 · kRowTiles rows, by products of warps or of the block's warpgroup.
template <typename Kind, int kRowTiles, bool kWarpgroup>
struct FewRows {
  static constexpr char kName[] = "product_few";
  static constexpr int kThreads = kPanelLanes;
  static constexpr bool kOverlaps = true;
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
    bool last;
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    Shared& shared = block.shared<Shared>();
    const int64_t begin = SegmentBegin(args.w.blocks, args.segments, block.y());
    const int64_t end = SegmentBegin(args.w.blocks, args.segments, block.y() + 1);
    const std::byte* panel = args.w.data + block.x() * args.w.panel_bytes;
    LaneWeights<Kind> weights[kDepth];
    SIMT_UNROLL for (int i = 0; i < kDepth; ++i) {
      if (begin + i < end) weights[i] = LoadWeights<Kind>(block, args.w, panel, begin + i);
    }
    block.WaitForEarlierKernels();
    block.LetNextKernelStart();
    for (int i = 0; i < kSlots - 1; ++i) {
      if (begin + i < end) {
        CopyInputs<Kind, kRows, kThreads>(block, args.x, 0, begin + i, shared.slots[i]);
      }
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
        const auto unpack = [&](int /*unit*/, int group) { return UnpackGroup(weights[i], group); };
        if constexpr (kWarpgroup) {
          AddBlockByWarpgroup(block, shared.slots[slot], unpack, acc);
        } else {
          AddBlockByWarp(block, shared.slots[slot], 0, args.x.padded_rows, unpack, acc);
        }
        if (b + kDepth < end) weights[i] = LoadWeights<Kind>(block, args.w, panel, b + kDepth);
        slot = (slot + 1) % kSlots;
      }
    }
    StoreLaneSums<Kind>(block, args, acc);
    AddSegmentsIfLast<Kind>(block, args, shared.last);
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
  if (tiles <= 2) {
    launch.template operator()<2>();
  } else if (tiles <= 4) {
    launch.template operator()<4>();
  } else {
    launch.template operator()<8>();
  }
}

}  // namespace ssmd::kernels::cuda::fast

#endif  // SSMD_KERNELS_CUDA_PRODUCT_FEW_H_
