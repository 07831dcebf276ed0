// RMS norm in one pass: a block a row, which it keeps in registers. Rows go to memory, or rounded
// to where a product takes them.
#include "kernels/cuda/fast_ops.h"
#include "kernels/cuda/fused_ops.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/rounded_store.h"
#include "kernels/cuda/row_sums_fast.h"
#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda::fast {
namespace {

struct RmsNormFastArgs {
  RmsNormParams op;
  RoundedRows rounded;
};

template <int kVectors, bool kRounds>
struct RmsNormFastKernel {
  static constexpr char kName[] = "rms_norm_fast";
  static constexpr int kThreads = kFastRowThreads;
  static constexpr bool kOverlaps = true;
  using Args = RmsNormFastArgs;
  using Shared = RowOfWarps;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const RmsNormParams& op = args.op;
    Floats4 weights[kVectors], values[kVectors];
    SIMT_UNROLL for (int i = 0; i < kVectors; ++i) {
      const bool weighted = op.weight != nullptr && ColumnOf(block, i) < op.cols;
      weights[i] = weighted ? LoadReadOnly4(op.weight + ColumnOf(block, i)) : Floats4{1, 1, 1, 1};
    }
    block.WaitForEarlierKernels();
    block.LetNextKernelStart();
    const int64_t from = op.row_index != nullptr ? op.row_index[block.x()] : block.x();
    const float* x = op.x + from * op.x_stride;
    SIMT_UNROLL for (int i = 0; i < kVectors; ++i) {
      const int64_t column = ColumnOf(block, i);
      values[i] = column < op.cols ? Load4(x + column) : Floats4{};
    }
    const float sum = SumSquaresFast(block, values, block.shared<Shared>());
    const float scale = RmsScale(sum, op.cols, op.eps);
    SIMT_UNROLL for (int i = 0; i < kVectors; ++i) {
      SIMT_UNROLL for (int k = 0; k < 4; ++k) {
        Component(values[i], k) = Component(values[i], k) * scale * Component(weights[i], k);
      }
      Store(block, args, ColumnOf(block, i), values[i]);
    }
  }

  SIMT_DEVICE static int64_t ColumnOf(const Block& block, int i) {
    return i * kFastRowSpan + 4 * block.thread();
  }

  SIMT_DEVICE static void Store(const Block& block, const Args& args, int64_t column,
                                const Floats4& values) {
    if constexpr (kRounds) {
      const bool inside = column < args.op.cols;  // else padding, of zeros
      float quad[kQuad];
      for (int k = 0; k < kQuad; ++k) quad[k] = inside ? Component(values, k) : 0;
      StoreRounded(block, args.rounded, column < args.rounded.inputs, block.x(), column, quad);
    } else if (column < args.op.cols) {
      Store4(args.op.out + block.x() * args.op.out_stride + column, values);
    }
  }
};

template <bool kRounds>
void LaunchRmsNorm(Stream& stream, const RmsNormParams& params, const RoundedRows& rounded) {
  if (params.rows == 0) return;
  WithVectorsFor(params.cols, [&](auto vectors) {
    using Kernel = RmsNormFastKernel<decltype(vectors)::kCount, kRounds>;
    Launch<Kernel>(stream, {params.rows}, Kernel::kThreads, {params, rounded});
  });
}

}  // namespace

bool TakesRmsNorm(const RmsNormParams& params) {
  return params.cols % 4 == 0 && params.cols <= kFastRowVectors * kFastRowSpan &&
         RowsAligned16(params.x, params.x_stride) && RowsAligned16(params.out, params.out_stride) &&
         RowsAligned16(params.weight, 0);
}

void RmsNorm(Stream& stream, const RmsNormParams& params) {
  if (TakesRmsNorm(params)) {
    LaunchRmsNorm<false>(stream, params, {});
  } else {
    plain::RmsNorm(stream, params);
  }
}

void RmsNormRounded(Stream& stream, const RmsNormParams& params, const RoundedRows& to) {
  LaunchRmsNorm<true>(stream, params, to);
}

}  // namespace ssmd::kernels::cuda::fast
