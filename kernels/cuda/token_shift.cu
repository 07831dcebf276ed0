// Mixtures of tokens with those before them, plain: a thread a channel, over a share of a segment's
// tokens. The first share reads the state and then writes it.
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/states.h"
#include "kernels/cuda/token_shares.h"

namespace ssmd::kernels::cuda::plain {
namespace {

struct TokenShiftKernel {
  static constexpr char kName[] = "token_shift";
  static constexpr int kThreads = 128;
  using Args = TokenShiftParams;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.segments[block.y()];
    const int64_t channel = block.x() * kThreads + block.thread();
    if (segment.dst_slot < 0 || channel >= args.channels) return;
    const TokenShare share = TokenShareOf(block, segment.length);
    const float* x = args.x + segment.first_row * args.x_stride + channel;
    float before = share.begin == 0 ? FloatsAt(args.previous, segment.src_slot)[channel]
                                    : x[(share.begin - 1) * args.x_stride];
    for (int64_t t = share.begin; t < share.end; ++t) {
      const float now = x[t * args.x_stride];
      Mix(args, segment.first_row + t, channel, now, before - now);
      before = now;
    }
    if (block.z() == 0 && !args.keep_state) {
      FloatsAt(args.previous, segment.dst_slot)[channel] = x[(segment.length - 1) * args.x_stride];
    }
  }

  SIMT_DEVICE static void Mix(const Args& args, int64_t row, int64_t channel, float x, float step) {
    SIMT_UNROLL for (int i = 0; i < kMaxShifted; ++i) {
      if (i >= args.count) continue;
      float mix = args.mix[i][channel];
      if (args.delta[i] != nullptr) mix += args.delta[i][row * args.delta_stride + channel];
      args.out[i][row * args.out_stride + channel] = Fma(step, mix, x);
    }
  }
};

}  // namespace

void TokenShift(Stream& stream, const TokenShiftParams& params) {
  if (params.segment_count == 0) return;
  const int64_t blocks =
      (params.channels + TokenShiftKernel::kThreads - 1) / TokenShiftKernel::kThreads;
  Launch<TokenShiftKernel>(stream,
                           {blocks, params.segment_count, TokenSharesOf(params.segment_count)},
                           TokenShiftKernel::kThreads, params);
}

}  // namespace ssmd::kernels::cuda::plain
