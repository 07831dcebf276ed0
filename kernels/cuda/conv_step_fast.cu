// Convolution and SiLU of one token a row, with the plain op's bits: a thread has four channels, 16
// bytes a tap.
#include "kernels/cuda/fast_ops.h"
#include "kernels/cuda/math.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/states.h"
#include "kernels/cuda/vectors.h"

namespace ssmd::kernels::cuda::fast {
namespace {

template <int kWidth>
struct ConvStepKernel {
  static constexpr char kName[] = "conv_step";
  static constexpr int kThreads = 128;
  static constexpr int kColumns = kWidth - 1;  // of the ring
  using Args = ConvSiluParams;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.segments[block.y()];
    const int64_t channel = (block.x() * kThreads + block.thread()) * 4;
    if (segment.dst_slot < 0 || channel >= args.channels) return;
    const float* from = StateAt(args.ring, segment.src_slot) + channel;
    float* to = StateAt(args.ring, segment.dst_slot) + channel;
    const Floats4 x = Load4(args.x + segment.first_row * args.x_stride + channel);

    // Tap w meets the ring's column (oldest + w); the oldest gives way to x.
    const auto oldest = static_cast<int>(segment.position % kColumns);
    Floats4 inputs[kWidth];
    SIMT_UNROLL for (int w = 0; w < kColumns; ++w) {
      inputs[w] = Load4(from + (oldest + w) % kColumns * args.channels);
    }
    inputs[kColumns] = x;
    if (from != to) {
      SIMT_UNROLL for (int w = 1; w < kColumns; ++w) {
        Store4(to + (oldest + w) % kColumns * args.channels, inputs[w]);
      }
    }
    Store4(to + oldest * args.channels, x);

    Floats4 sum = {};
    if (args.bias != nullptr) sum = LoadReadOnly4(args.bias + channel);
    SIMT_UNROLL for (int w = 0; w < kWidth; ++w) {
      const Floats4 weight = LoadReadOnly4(args.weight + w * args.channels + channel);
      SIMT_UNROLL for (int k = 0; k < 4; ++k) {
        Component(sum, k) = Fma(Component(weight, k), Component(inputs[w], k), Component(sum, k));
      }
    }
    SIMT_UNROLL for (int k = 0; k < 4; ++k) Component(sum, k) = Silu(Component(sum, k));
    Store4(args.out + segment.first_row * args.out_stride + channel, sum);
  }
};

template <int kWidth>
void LaunchConvStep(Stream& stream, const ConvSiluParams& params) {
  constexpr int kThreads = ConvStepKernel<kWidth>::kThreads;
  const int64_t blocks = (params.channels / 4 + kThreads - 1) / kThreads;
  Launch<ConvStepKernel<kWidth>>(stream, {blocks, params.segment_count}, kThreads, params);
}

bool TakesConv(const ConvSiluParams& params) {
  return params.channels % 4 == 0 && params.width >= 2 && params.width <= 4 &&
         RowsAligned16(params.x, params.x_stride) && RowsAligned16(params.out, params.out_stride) &&
         RowsAligned16(params.weight, 0) && RowsAligned16(params.bias, 0);
}

}  // namespace

void ConvStep(Stream& stream, const ConvSiluParams& params) {
  if (params.segment_count == 0) return;
  if (!TakesConv(params)) {
    plain::ConvSilu(stream, params);
  } else if (params.width == 2) {
    LaunchConvStep<2>(stream, params);
  } else if (params.width == 3) {
    LaunchConvStep<3>(stream, params);
  } else {
    LaunchConvStep<4>(stream, params);
  }
}

}  // namespace ssmd::kernels::cuda::fast
