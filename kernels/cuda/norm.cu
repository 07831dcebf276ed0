// RMS norm, plain: a block a row.
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/row_sums.h"
#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda::plain {
namespace {

struct RmsNormKernel {
  static constexpr char kName[] = "rms_norm";
  static constexpr int kThreads = 256;
  using Args = RmsNormParams;
  using Shared = RowTile;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const int64_t row = block.x();
    const int64_t from = args.row_index != nullptr ? args.row_index[row] : row;
    const float* x = args.x + from * args.x_stride;
    float* out = args.out + row * args.out_stride;
    const float sum = SumSquares(block, block.shared<Shared>(), args.cols,
                                 [x](int64_t column) { return x[column]; });
    const float mean = Divide(sum, static_cast<float>(args.cols));
    const float scale = Divide(1.0f, Sqrt(mean + args.eps));
    for (int64_t column = block.thread(); column < args.cols; column += block.threads()) {
      const float value = x[column] * scale;
      out[column] = args.weight != nullptr ? value * args.weight[column] : value;
    }
  }
};

}  // namespace

void RmsNorm(Stream& stream, const RmsNormParams& params) {
  if (params.rows == 0) return;
  Launch<RmsNormKernel>(stream, {params.rows}, RmsNormKernel::kThreads, params);
}

}  // namespace ssmd::kernels::cuda::plain
