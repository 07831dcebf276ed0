// A norm with a mean, plain: a block a group of a row.
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/row_sums.h"
#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda::plain {
namespace {

struct GroupNormKernel {
  static constexpr char kName[] = "group_norm";
  static constexpr int kThreads = 256;
  using Args = GroupNormParams;
  using Shared = RowTile;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const int64_t row = block.x();
    const int64_t from = args.row_index != nullptr ? args.row_index[row] : row;
    const int64_t cols = args.cols / args.groups;
    const int64_t first = block.y() * cols;
    const float* x = args.x + from * args.x_stride + first;
    float* out = args.out + row * args.out_stride + first;
    auto& tile = block.shared<Shared>();
    const float sum = SumColumns(
        block, tile, cols, [x](int64_t column) { return x[column]; },
        [](float lane, float value) { return lane + value; });
    const float mean = Divide(sum, static_cast<float>(cols));
    const float squares =
        SumSquares(block, tile, cols, [x, mean](int64_t column) { return x[column] - mean; });
    const float variance = Divide(squares, static_cast<float>(cols));
    const float scale = Divide(1.0f, Sqrt(variance + args.eps));
    for (int64_t column = block.thread(); column < cols; column += block.threads()) {
      const float weight = args.weight != nullptr ? args.weight[first + column] : 1.0f;
      const float bias = args.bias != nullptr ? args.bias[first + column] : 0.0f;
      out[column] = Fma((x[column] - mean) * scale, weight, bias);
    }
  }
};

}  // namespace

void GroupNorm(Stream& stream, const GroupNormParams& params) {
  if (params.rows == 0) return;
  Launch<GroupNormKernel>(stream, {params.rows, params.groups}, GroupNormKernel::kThreads, params);
}

}  // namespace ssmd::kernels::cuda::plain
