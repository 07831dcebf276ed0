// Convolution and SiLU of one token a row, with the plain op's bits: a thread has four channels, 16
// bytes a tap. Rows can go, rounded, to where a product takes them as well.
#include "kernels/cuda/fast_ops.h"
#include "kernels/cuda/fused_ops.h"
#include "kernels/cuda/math.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/rounded_store.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/states.h"
#include "kernels/cuda/vectors.h"

namespace ssmd::kernels::cuda::fast {
namespace {

struct ConvStepArgs {
  ConvSiluParams op;
  RoundedRows rounded;
};

template <int kWidth, bool kRounds>
struct ConvStepKernel {
  static constexpr char kName[] = "conv_step";
  static constexpr int kThreads = 128;
  static constexpr bool kOverlaps = true;
  static constexpr int kColumns = kWidth - 1;  // of the ring
  using Args = ConvStepArgs;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const int64_t channel = (block.x() * kThreads + block.thread()) * 4;
    const bool exists = channel < args.op.channels;
    const Taps taps = exists ? LoadTaps(args.op, channel) : Taps{};
    block.WaitForEarlierKernels();
    block.LetNextKernelStart();
    const Segment segment = args.op.segments[block.y()];
    if (segment.dst_slot < 0) return;
    Floats4 out = {};
    if (exists) out = Convolve(args.op, segment, channel, taps);
    if constexpr (kRounds) {
      float quad[kQuad];
      for (int k = 0; k < kQuad; ++k) quad[k] = Component(out, k);
      StoreRounded(block, args.rounded, channel < args.rounded.inputs, segment.first_row, channel,
                   quad);
    }
  }

  struct Taps {
    Floats4 weights[kWidth];
    Floats4 bias;
  };
  SIMT_DEVICE static Taps LoadTaps(const ConvSiluParams& args, int64_t channel) {
    Taps taps = {};
    if (args.bias != nullptr) taps.bias = LoadReadOnly4(args.bias + channel);
    SIMT_UNROLL for (int w = 0; w < kWidth; ++w) {
      taps.weights[w] = LoadReadOnly4(args.weight + w * args.channels + channel);
    }
    return taps;
  }

  // Of four channels of a row, which are written, and the ring.
  SIMT_DEVICE static Floats4 Convolve(const ConvSiluParams& args, const Segment& segment,
                                      int64_t channel, const Taps& taps) {
    const float* from = FloatsAt(args.ring, segment.src_slot) + channel;
    float* to = FloatsAt(args.ring, segment.dst_slot) + channel;
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

    Floats4 sum = taps.bias;
    SIMT_UNROLL for (int w = 0; w < kWidth; ++w) {
      SIMT_UNROLL for (int k = 0; k < 4; ++k) {
        Component(sum, k) =
            Fma(Component(taps.weights[w], k), Component(inputs[w], k), Component(sum, k));
      }
    }
    SIMT_UNROLL for (int k = 0; k < 4; ++k) Component(sum, k) = Silu(Component(sum, k));
    Store4(args.out + segment.first_row * args.out_stride + channel, sum);
    return sum;
  }
};

template <int kWidth, bool kRounds>
void LaunchConvStep(Stream& stream, const ConvSiluParams& params, const RoundedRows& rounded) {
  using Kernel = ConvStepKernel<kWidth, kRounds>;
  const int64_t blocks = (params.channels / 4 + Kernel::kThreads - 1) / Kernel::kThreads;
  Launch<Kernel>(stream, {blocks, params.segment_count}, Kernel::kThreads, {params, rounded});
}

template <bool kRounds>
void LaunchConvStep(Stream& stream, const ConvSiluParams& params, const RoundedRows& rounded) {
  if (params.width == 2) {
    LaunchConvStep<2, kRounds>(stream, params, rounded);
  } else if (params.width == 3) {
    LaunchConvStep<3, kRounds>(stream, params, rounded);
  } else {
    LaunchConvStep<4, kRounds>(stream, params, rounded);
  }
}

}  // namespace

bool TakesConvStep(const ConvSiluParams& params) {
  return params.channels % 4 == 0 && params.width >= 2 && params.width <= 4 &&
         RowsAligned16(params.x, params.x_stride) && RowsAligned16(params.out, params.out_stride) &&
         RowsAligned16(params.weight, 0) && RowsAligned16(params.bias, 0);
}

void ConvStep(Stream& stream, const ConvSiluParams& params) {
  if (params.segment_count == 0) return;
  if (TakesConvStep(params)) {
    LaunchConvStep<false>(stream, params, {});
  } else {
    plain::ConvSilu(stream, params);
  }
}

void ConvStepRounded(Stream& stream, const ConvSiluParams& params, const RoundedRows& to) {
  LaunchConvStep<true>(stream, params, to);
}

}  // namespace ssmd::kernels::cuda::fast
