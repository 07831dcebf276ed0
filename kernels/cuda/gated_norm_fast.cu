// RMS norm with a gate in one pass: a block a group of a row, which it keeps in registers. Rows go
// to memory, or rounded to where a product takes them.
#include "kernels/cuda/fast_ops.h"
#include "kernels/cuda/fused_ops.h"
#include "kernels/cuda/math.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/rounded_store.h"
#include "kernels/cuda/row_sums_fast.h"
#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda::fast {
namespace {

struct GatedNormFastArgs {
  GatedRmsNormParams op;
  RoundedRows rounded;
};

template <int kVectors, bool kRounds>
struct GatedNormFastKernel {
  static constexpr char kName[] = "gated_norm_fast";
  static constexpr int kThreads = kFastRowThreads;
  static constexpr bool kOverlaps = true;
  using Args = GatedNormFastArgs;
  using Shared = RowOfWarps;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    block.WaitForEarlierKernels();
    block.LetNextKernelStart();
    const GatedRmsNormParams& op = args.op;
    const int64_t cols = op.cols / op.groups;
    const int64_t first = block.y() * cols;
    const float* x = op.x + block.x() * op.x_stride + first;
    const float* gate = op.gate + block.x() * op.gate_stride + first;
    const float* weight = op.weight != nullptr ? op.weight + first : nullptr;
    const bool norm_first = op.order == GateOrder::kNormFirst;
    Floats4 values[kVectors], gates[kVectors];
    SIMT_UNROLL for (int i = 0; i < kVectors; ++i) {
      const int64_t column = i * kFastRowSpan + 4 * block.thread();
      values[i] = column < cols ? Load4(x + column) : Floats4{};
      gates[i] = column < cols ? Load4(gate + column) : Floats4{};
    }
    SIMT_UNROLL for (int i = 0; i < kVectors; ++i) {
      SIMT_UNROLL for (int k = 0; k < 4; ++k) {
        const float open = Silu(Component(gates[i], k));
        Component(gates[i], k) = norm_first ? open : 1.0f;
        if (!norm_first) Component(values[i], k) *= open;
      }
    }
    float scale = 1;
    if (op.order != GateOrder::kGateOnly) {
      const float sum = SumSquaresFast(block, values, block.shared<Shared>());
      scale = RmsScale(sum, cols, op.eps);
    } else {
      weight = nullptr;
    }
    SIMT_UNROLL for (int i = 0; i < kVectors; ++i) {
      const int64_t column = i * kFastRowSpan + 4 * block.thread();
      Floats4 factor = {1, 1, 1, 1};
      if (weight != nullptr && column < cols) factor = LoadReadOnly4(weight + column);
      SIMT_UNROLL for (int k = 0; k < 4; ++k) {
        Component(values[i], k) =
            Component(values[i], k) * scale * Component(factor, k) * Component(gates[i], k);
      }
      Store(block, args, column, cols, values[i]);
    }
  }

  // Columns from `column` on of the block's group, which has `cols`.
  SIMT_DEVICE static void Store(const Block& block, const Args& args, int64_t column, int64_t cols,
                                const Floats4& values) {
    const int64_t at = block.y() * cols + column;
    if constexpr (kRounds) {
      const bool inside = column < cols;
      // Padding, of zeros, follows a row in one group; several have none (RoundsGatedRmsNorm).
      const bool padding = !inside && args.op.groups == 1 && at < args.rounded.inputs;
      float quad[kQuad];
      for (int k = 0; k < kQuad; ++k) quad[k] = inside ? Component(values, k) : 0;
      StoreRounded(block, args.rounded, inside || padding, block.x(), at, quad);
    } else if (column < cols) {
      Store4(args.op.out + block.x() * args.op.out_stride + at, values);
    }
  }
};

template <bool kRounds>
void LaunchGatedRmsNorm(Stream& stream, const GatedRmsNormParams& params,
                        const RoundedRows& rounded) {
  if (params.rows == 0) return;
  WithVectorsFor(params.cols / params.groups, [&](auto vectors) {
    using Kernel = GatedNormFastKernel<decltype(vectors)::kCount, kRounds>;
    Launch<Kernel>(stream, {params.rows, params.groups}, Kernel::kThreads, {params, rounded});
  });
}

bool TakesGatedRmsNorm(const GatedRmsNormParams& params) {
  const int64_t cols = params.cols / params.groups;
  return cols % 4 == 0 && cols <= kFastRowVectors * kFastRowSpan &&
         RowsAligned16(params.x, params.x_stride) &&
         RowsAligned16(params.gate, params.gate_stride) &&
         RowsAligned16(params.out, params.out_stride) && RowsAligned16(params.weight, 0);
}

}  // namespace

void GatedRmsNorm(Stream& stream, const GatedRmsNormParams& params) {
  if (TakesGatedRmsNorm(params)) {
    LaunchGatedRmsNorm<false>(stream, params, {});
  } else {
    plain::GatedRmsNorm(stream, params);
  }
}

bool RoundsGatedRmsNorm(const GatedRmsNormParams& params) {
  const bool whole_blocks = params.cols / params.groups % kBlockInputs == 0;
  return TakesGatedRmsNorm(params) && (params.groups == 1 || whole_blocks);
}

void GatedRmsNormRounded(Stream& stream, const GatedRmsNormParams& params, const RoundedRows& to) {
  LaunchGatedRmsNorm<true>(stream, params, to);
}

}  // namespace ssmd::kernels::cuda::fast
