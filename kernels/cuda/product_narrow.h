// The fast product (product_fast.h) of up to eight rows, in one launch: the ops of a decode step
// are then bound by launches as much as by memory.
//
// As product_few.h, but that each block of threads rounds the rows' inputs itself, as it reads
// them. Where the inputs are in segments, the last block of a panel to arrive adds them up: whoever
// that is, in their order.
#ifndef SSMD_KERNELS_CUDA_PRODUCT_NARROW_H_
#define SSMD_KERNELS_CUDA_PRODUCT_NARROW_H_

#include "kernels/cuda/lane_weights.h"
#include "kernels/cuda/product_block.h"
#include "kernels/cuda/rounding.h"

namespace ssmd::kernels::cuda::fast {

template <typename Kind, bool kWarpgroup>
struct NarrowRows {
  static constexpr char kName[] = "product_narrow";
  static constexpr int kThreads = kPanelLanes;
  // Blocks of inputs that are on their way: eight loads of weights of a thread or more.
  static constexpr int kDepth = Kind::kChunks == 4 ? 4 : 6;
  static constexpr int kRows = kCoreRows;
  static constexpr int kGroupQuads = kBlockInputs / kBlockGroups / kQuad;

  using Args = NarrowArgs;
  using Inputs = InputBlock<Kind, kRows>;
  struct Shared {
    Inputs slots[2];
    bool last;
  };

  // Of a block of inputs: a lane's weights, and four inputs of a row.
  struct Ahead {
    LaneWeights<Kind> weights;
    float x[kQuad];
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    Shared& shared = block.shared<Shared>();
    const ProductOperands& p = args.operands;
    const int64_t begin = SegmentBegin(p.w.blocks, p.segments, block.y());
    const int64_t end = SegmentBegin(p.w.blocks, p.segments, block.y() + 1);
    const std::byte* panel = p.w.data + block.x() * p.w.panel_bytes;
    Ahead ahead[kDepth];
    SIMT_UNROLL for (int i = 0; i < kDepth; ++i) {
      if (begin + i < end) Load(block, args, panel, begin + i, ahead[i]);
    }
    StoreInputs(block, ahead[0].x, shared.slots[0]);
    Sums<1, 1> acc = {};
    int slot = 0;
    for (int64_t first = begin; first < end; first += kDepth) {
      SIMT_UNROLL for (int i = 0; i < kDepth; ++i) {
        const int64_t b = first + i;
        if (b >= end) break;
        if constexpr (kWarpgroup) ShareWithTensorCore();
        block.Sync();
        if (b + 1 < end) StoreInputs(block, ahead[(i + 1) % kDepth].x, shared.slots[1 - slot]);
        const auto unpack = [&](int /*unit*/, int group) {
          return UnpackGroup(ahead[i].weights, group);
        };
        if constexpr (kWarpgroup) {
          AddBlockByWarpgroup(block, shared.slots[slot], unpack, acc);
        } else {
          AddBlockByWarp(block, shared.slots[slot], 0, kRows, unpack, acc);
        }
        if (b + kDepth < end) Load(block, args, panel, b + kDepth, ahead[i]);
        slot = 1 - slot;
      }
    }
    StoreLaneSums<Kind>(block, p, acc);
    if (args.arrivals != nullptr) AddSegmentsIfLast(block, args, shared);
  }

  // A thread's row, and its four inputs of a block: eight lanes that are four apart have a group.
  SIMT_DEVICE static int RowOf(const Block& block) {
    return block.warp() / 2 * 4 + block.lane() % 4;
  }
  SIMT_DEVICE static int QuadOf(const Block& block) {
    return block.warp() % 2 * kGroupQuads + block.lane() / 4;
  }

  SIMT_DEVICE static void Load(const Block& block, const Args& args, const std::byte* panel,
                               int64_t b, Ahead& to) {
    const int64_t row = RowOf(block);
    const int64_t k = b * kBlockInputs + QuadOf(block) * kQuad;
    for (int i = 0; i < kQuad; ++i) {
      const bool inside = row < args.operands.to.rows && k + i < args.operands.w.inputs;
      to.x[i] = inside ? LoadReadOnly(args.x + row * args.x_stride + k + i) : 0;
    }
    to.weights = LoadWeights<Kind>(block, args.operands.w, panel, b);
  }

  SIMT_DEVICE static void StoreInputs(const Block& block, const float (&x)[kQuad], Inputs& to) {
    const int row = RowOf(block);
    const int quad = QuadOf(block);
    const auto rounded = RoundQuad<Kind::kHalves, Kind::kParts>(x);
    for (int part = 0; part < Kind::kParts; ++part) {
      *reinterpret_cast<Words2*>(&to.x[part][quad / 2][row][quad % 2 * 2]) = rounded.words[part];
    }
    if constexpr (Kind::kQ4) {
      const float sum = SumOfGroup(block, rounded.sum, 4);
      if (quad % kGroupQuads == 0) to.sums[quad / kGroupQuads][row] = sum;
    }
  }

  SIMT_DEVICE static void AddSegmentsIfLast(const Block& block, const Args& args, Shared& shared) {
    uint32_t& arrivals = args.arrivals[block.x()];
    block.Sync();
    if (block.thread() == 0) {
      FenceDevice();
      const uint32_t others = AtomicAdd(&arrivals, 1u);
      FenceDevice();
      shared.last = others + 1 == static_cast<uint32_t>(args.operands.segments);
      if (shared.last) arrivals = 0;  // for the next product
    }
    block.Sync();
    if (!shared.last) return;
    const int64_t output = block.x() * kPanelOutputs + block.thread() % kPanelOutputs;
    for (int64_t row = block.thread() / kPanelOutputs; row < args.operands.to.rows;
         row += kThreads / kPanelOutputs) {
      FinishSegments<Kind>(args.operands, row, output);
    }
  }
};

template <typename Kind, bool kWarpgroup>
void LaunchNarrowRows(Stream& stream, const NarrowArgs& args) {
  using Kernel = NarrowRows<Kind, kWarpgroup>;
  Launch<Kernel>(stream, {PanelCount(args.operands.w.outputs), args.operands.segments},
                 Kernel::kThreads, args);
}

}  // namespace ssmd::kernels::cuda::fast

#endif  // SSMD_KERNELS_CUDA_PRODUCT_NARROW_H_
