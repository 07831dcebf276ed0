// RMS norm with a gate, plain: a block a group of a row.
#include "kernels/cuda/math.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/row_sums.h"
#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda::plain {
namespace {

struct GatedNormKernel {
  static constexpr char kName[] = "gated_norm";
  static constexpr int kThreads = 256;
  using Args = GatedRmsNormParams;
  using Shared = RowTile;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const int64_t cols = args.cols / args.groups;
    const int64_t first = block.y() * cols;
    const float* x = args.x + block.x() * args.x_stride + first;
    const float* gate = args.gate + block.x() * args.gate_stride + first;
    float* out = args.out + block.x() * args.out_stride + first;
    const bool gate_first = args.order != GateOrder::kNormFirst;
    // What is to be normalised waits in `out`, where the thread that wrote it finds it again.
    const float sum = SumSquares(block, block.shared<Shared>(), cols, [=](int64_t column) {
      const float value = gate_first ? x[column] * Silu(gate[column]) : x[column];
      out[column] = value;
      return value;
    });
    if (args.order == GateOrder::kGateOnly) return;
    const float mean = Divide(sum, static_cast<float>(cols));
    const float scale = Divide(1.0f, Sqrt(mean + args.eps));
    for (int64_t column = block.thread(); column < cols; column += block.threads()) {
      float value = out[column] * scale;
      if (args.weight != nullptr) value *= args.weight[first + column];
      if (!gate_first) value *= Silu(gate[column]);
      out[column] = value;
    }
  }
};

}  // namespace

void GatedRmsNorm(Stream& stream, const GatedRmsNormParams& params) {
  if (params.rows == 0) return;
  Launch<GatedNormKernel>(stream, {params.rows, params.groups}, GatedNormKernel::kThreads, params);
}

}  // namespace ssmd::kernels::cuda::plain
