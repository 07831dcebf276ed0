// RMS norm with a gate in one pass: a block a group of a row, which it keeps in registers.
#include "kernels/cuda/fast_ops.h"
#include "kernels/cuda/math.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/row_sums_fast.h"
#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda::fast {
namespace {

template <int kVectors>
struct GatedNormFastKernel {
  static constexpr char kName[] = "gated_norm_fast";
  static constexpr int kThreads = kFastRowThreads;
  using Args = GatedRmsNormParams;
  using Shared = RowOfWarps;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const int64_t cols = args.cols / args.groups;
    const int64_t first = block.y() * cols;
    const float* x = args.x + block.x() * args.x_stride + first;
    const float* gate = args.gate + block.x() * args.gate_stride + first;
    float* out = args.out + block.x() * args.out_stride + first;
    const float* weight = args.weight != nullptr ? args.weight + first : nullptr;
    const bool norm_first = args.order == GateOrder::kNormFirst;
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
    if (args.order != GateOrder::kGateOnly) {
      const float sum = SumSquaresFast(block, values, block.shared<Shared>());
      const float mean = Divide(sum, static_cast<float>(cols));
      scale = Divide(1.0f, Sqrt(mean + args.eps));
    } else {
      weight = nullptr;
    }
    SIMT_UNROLL for (int i = 0; i < kVectors; ++i) {
      const int64_t column = i * kFastRowSpan + 4 * block.thread();
      if (column >= cols) continue;
      Floats4 factor = {1, 1, 1, 1};
      if (weight != nullptr) factor = LoadReadOnly4(weight + column);
      SIMT_UNROLL for (int k = 0; k < 4; ++k) {
        Component(values[i], k) =
            Component(values[i], k) * scale * Component(factor, k) * Component(gates[i], k);
      }
      Store4(out + column, values[i]);
    }
  }
};

}  // namespace

void GatedRmsNorm(Stream& stream, const GatedRmsNormParams& params) {
  const int64_t cols = params.cols / params.groups;
  const bool aligned = cols % 4 == 0 && RowsAligned16(params.x, params.x_stride) &&
                       RowsAligned16(params.gate, params.gate_stride) &&
                       RowsAligned16(params.out, params.out_stride) &&
                       RowsAligned16(params.weight, 0);
  if (!aligned || cols > kFastRowVectors * kFastRowSpan) {
    plain::GatedRmsNorm(stream, params);
    return;
  }
  if (params.rows == 0) return;
  WithVectorsFor(cols, [&](auto vectors) {
    Launch<GatedNormFastKernel<decltype(vectors)::kCount>>(stream, {params.rows, params.groups},
                                                           kFastRowThreads, params);
  });
}

}  // namespace ssmd::kernels::cuda::fast
