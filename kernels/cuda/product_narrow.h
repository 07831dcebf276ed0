// The fast product (product_fast.h) of up to eight rows, in one launch: the ops of a decode step
// are then bound by launches as much as by memory.
//
// As product_few.h, but that each block of threads rounds the rows' inputs itself, as it reads
// them, and norms them before where that is asked for.
#ifndef SSMD_KERNELS_CUDA_PRODUCT_NARROW_H_
#define SSMD_KERNELS_CUDA_PRODUCT_NARROW_H_

#include "kernels/cuda/lane_weights.h"
#include "kernels/cuda/narrow_inputs.h"
#include "kernels/cuda/product_block.h"
#include "kernels/cuda/product_norm.h"

namespace ssmd::kernels::cuda::fast {

template <typename Kind, bool kWarpgroup, bool kNormed>
struct NarrowRows {
  static constexpr char kName[] = "product_narrow";
  static constexpr int kThreads = kPanelLanes;
  static constexpr bool kOverlaps = true;
  // Blocks of inputs that are on their way: eight loads of weights of a thread or more.
  static constexpr int kDepth = Kind::kChunks == 4 ? 4 : 6;

  using Args = NarrowArgs;
  using Inputs = NarrowInputs<Kind>;
  struct Shared {
    Inputs slots[2];
    RowsOfWarps norm;
    bool last;
  };

  // Of a block of inputs: a lane's weights, and four inputs of a row with the norm's weights.
  struct Ahead {
    LaneWeights<Kind> weights;
    float x[kQuad];
    float norm[kQuad];
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    Shared& shared = block.shared<Shared>();
    const ProductOperands& p = args.operands;
    const int64_t begin = SegmentBegin(p.w.blocks, p.segments, block.y());
    const int64_t end = SegmentBegin(p.w.blocks, p.segments, block.y() + 1);
    const std::byte* panel = p.w.data + block.x() * p.w.panel_bytes;
    Ahead ahead[kDepth];
    SIMT_UNROLL for (int i = 0; i < kDepth; ++i) {
      if (begin + i < end) ahead[i].weights = LoadWeights<Kind>(block, p.w, panel, begin + i);
    }
    block.WaitForEarlierKernels();
    block.LetNextKernelStart();
    SIMT_UNROLL for (int i = 0; i < kDepth; ++i) {
      if (begin + i < end) LoadInputs(block, args, begin + i, ahead[i]);
    }
    const float scale = Scale(block, args, shared);
    StoreInputs(block, ahead[0], scale, shared.slots[0]);
    Sums<1, 1> acc = {};
    int slot = 0;
    for (int64_t first = begin; first < end; first += kDepth) {
      SIMT_UNROLL for (int i = 0; i < kDepth; ++i) {
        const int64_t b = first + i;
        if (b >= end) break;
        if constexpr (kWarpgroup) ShareWithTensorCore();
        block.Sync();
        if (b + 1 < end) {
          StoreInputs(block, ahead[(i + 1) % kDepth], scale, shared.slots[1 - slot]);
        }
        const auto unpack = [&](int /*unit*/, int group) {
          return UnpackGroup(ahead[i].weights, group);
        };
        if constexpr (kWarpgroup) {
          AddBlockByWarpgroup(block, shared.slots[slot], unpack, acc);
        } else {
          AddBlockByWarp(block, shared.slots[slot], 0, kCoreRows, unpack, acc);
        }
        if (b + kDepth < end) {
          LoadInputs(block, args, b + kDepth, ahead[i]);
          ahead[i].weights = LoadWeights<Kind>(block, p.w, panel, b + kDepth);
        }
        slot = 1 - slot;
      }
    }
    StoreLaneSums<Kind>(block, p, acc);
    AddSegmentsIfLast<Kind>(block, p, shared.last);
  }

  SIMT_DEVICE static void LoadInputs(const Block& block, const Args& args, int64_t b, Ahead& to) {
    const int64_t row = NarrowRowOf(block);
    const int64_t k = b * kBlockInputs + NarrowQuadOf(block) * kQuad;
    const float* x = args.x + row * args.x_stride + k;
    for (int i = 0; i < kQuad; ++i) {
      const bool inside = row < args.operands.to.rows && k + i < args.operands.w.inputs;
      to.x[i] = inside ? x[i] : 0;
      if constexpr (kNormed) {
        const bool weighted = inside && args.norm_weight != nullptr;
        to.norm[i] = weighted ? LoadReadOnly(args.norm_weight + k + i) : 1.0f;
      }
    }
  }

  // The norm's, of the thread's row.
  SIMT_DEVICE static float Scale(const Block& block, const Args& args, Shared& shared) {
    if constexpr (!kNormed) return 1;
    return NarrowNormScale(block, args.x, args.x_stride, args.operands.to.rows,
                           args.operands.w.inputs, args.norm_eps, NarrowRowOf(block), shared.norm);
  }

  SIMT_DEVICE static void StoreInputs(const Block& block, const Ahead& from, float scale,
                                      Inputs& to) {
    float x[kQuad];
    for (int i = 0; i < kQuad; ++i) {
      x[i] = kNormed ? from.x[i] * scale * from.norm[i] : from.x[i];
    }
    StoreNarrowInputs<Kind>(block, x, to);
  }
};

template <typename Kind, bool kWarpgroup>
void LaunchNarrowRows(Stream& stream, const NarrowArgs& args) {
  const Grid grid = {PanelCount(args.operands.w.outputs), args.operands.segments};
  if constexpr (Kind::kParts == 1) {
    if (args.normed) {
      using Kernel = NarrowRows<Kind, kWarpgroup, true>;
      return Launch<Kernel>(stream, grid, Kernel::kThreads, args);
    }
  }
  using Kernel = NarrowRows<Kind, kWarpgroup, false>;
  Launch<Kernel>(stream, grid, Kernel::kThreads, args);
}

}  // namespace ssmd::kernels::cuda::fast

#endif  // SSMD_KERNELS_CUDA_PRODUCT_NARROW_H_
