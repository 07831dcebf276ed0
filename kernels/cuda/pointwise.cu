// Activations and gates, plain: a thread a number.
#include "kernels/cuda/math.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda::plain {
namespace {

struct PointwiseKernel {
  static constexpr char kName[] = "pointwise";
  static constexpr int kThreads = 256;
  using Args = PointwiseParams;

  SIMT_DEVICE static float Value(const Args& args, float x, int64_t column, int64_t row) {
    switch (args.function) {
      case PointwiseFunction::kGelu:
        return Gelu(x);
      case PointwiseFunction::kSquaredRelu: {
        const float positive = Larger(0.0f, x);
        return positive * positive;
      }
      case PointwiseFunction::kTanh:
        return Tanh(x);
      case PointwiseFunction::kSigmoid:
        return Sigmoid(x);
      case PointwiseFunction::kGlu:
        return x * Sigmoid(args.y[row * args.y_stride + column]);
      case PointwiseFunction::kMultiply:
        return x * args.y[row * args.y_stride + column];
    }
    return 0;
  }

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const int64_t row = block.x();
    const int64_t column = block.y() * kThreads + block.thread();
    if (column >= args.cols) return;
    float x = args.x[row * args.x_stride + column];
    if (args.bias != nullptr) x += args.bias[column];
    float result = Value(args, x, column, row);
    if (args.add != nullptr) result += args.add[row * args.add_stride + column];
    args.out[row * args.out_stride + column] = result;
  }
};

}  // namespace

void Pointwise(Stream& stream, const PointwiseParams& params) {
  if (params.rows == 0) return;
  const int64_t blocks = (params.cols + PointwiseKernel::kThreads - 1) / PointwiseKernel::kThreads;
  Launch<PointwiseKernel>(stream, {params.rows, blocks}, PointwiseKernel::kThreads, params);
}

}  // namespace ssmd::kernels::cuda::plain
