// RMS norm in one pass: a block a row, which it keeps in registers.
#include "kernels/cuda/fast_ops.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/row_sums_fast.h"
#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda::fast {
namespace {

template <int kVectors>
struct RmsNormFastKernel {
  static constexpr char kName[] = "rms_norm_fast";
  static constexpr int kThreads = kFastRowThreads;
  using Args = RmsNormParams;
  using Shared = RowOfWarps;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const int64_t from = args.row_index != nullptr ? args.row_index[block.x()] : block.x();
    const float* x = args.x + from * args.x_stride;
    float* out = args.out + block.x() * args.out_stride;
    Floats4 values[kVectors];
    SIMT_UNROLL for (int i = 0; i < kVectors; ++i) {
      const int64_t column = i * kFastRowSpan + 4 * block.thread();
      values[i] = column < args.cols ? Load4(x + column) : Floats4{};
    }
    const float sum = SumSquaresFast(block, values, block.shared<Shared>());
    const float mean = Divide(sum, static_cast<float>(args.cols));
    const float scale = Divide(1.0f, Sqrt(mean + args.eps));
    SIMT_UNROLL for (int i = 0; i < kVectors; ++i) {
      const int64_t column = i * kFastRowSpan + 4 * block.thread();
      if (column >= args.cols) continue;
      Floats4 weight = {1, 1, 1, 1};
      if (args.weight != nullptr) weight = LoadReadOnly4(args.weight + column);
      SIMT_UNROLL for (int k = 0; k < 4; ++k) {
        Component(values[i], k) = Component(values[i], k) * scale * Component(weight, k);
      }
      Store4(out + column, values[i]);
    }
  }
};

}  // namespace

void RmsNorm(Stream& stream, const RmsNormParams& params) {
  const bool aligned = params.cols % 4 == 0 && RowsAligned16(params.x, params.x_stride) &&
                       RowsAligned16(params.out, params.out_stride) &&
                       RowsAligned16(params.weight, 0);
  if (!aligned || params.cols > kFastRowVectors * kFastRowSpan) {
    plain::RmsNorm(stream, params);
    return;
  }
  if (params.rows == 0) return;
  WithVectorsFor(params.cols, [&](auto vectors) {
    Launch<RmsNormFastKernel<decltype(vectors)::kCount>>(stream, {params.rows}, kFastRowThreads,
                                                         params);
  });
}

}  // namespace ssmd::kernels::cuda::fast
