// Causal convolution and SiLU, plain: a thread a channel, over a share of a segment's tokens.
//
// The first share reads the old ring and writes the new one, which may be the same; the others
// begin where a segment's own inputs reach back far enough.
#include "kernels/cuda/math.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/states.h"

namespace ssmd::kernels::cuda::plain {
namespace {

// Shares of a launch that has few segments, which may be long.
constexpr int64_t kConvShares = 32;
// Least tokens of a share.
constexpr int64_t kConvTokens = kMaxConvWidth;

// What one thread sees of its segment: all pointers are to its channel.
struct ConvChannel {
  const float* x;  // of the first token
  const float* ring_from;
  float* ring_to;
  int64_t channels, x_stride, columns, position;

  SIMT_DEVICE float Input(int64_t token) const {
    return token >= 0 ? x[token * x_stride]
                      : ring_from[RingColumn(position + token, columns) * channels];
  }
  // Columns hold the last inputs: of the segment where it has them, else of the old ring.
  SIMT_DEVICE void UpdateRing(int64_t length) const {
    for (int64_t age = 1; age <= columns; ++age) {
      const int64_t token = length - age;
      if (token < 0 && ring_to == ring_from) continue;
      ring_to[RingColumn(position + token, columns) * channels] = Input(token);
    }
  }
};

struct ConvKernel {
  static constexpr char kName[] = "conv_silu";
  static constexpr int kThreads = 128;
  using Args = ConvSiluParams;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.segments[block.y()];
    const int64_t channel = block.x() * kThreads + block.thread();
    if (segment.dst_slot < 0 || channel >= args.channels) return;
    const int64_t even = (segment.length + block.grid_z() - 1) / block.grid_z();
    const int64_t share = even < kConvTokens ? kConvTokens : even;
    const int64_t begin = block.z() * share;
    const int64_t end = begin + share < segment.length ? begin + share : segment.length;

    ConvChannel in = {};
    in.x = args.x + segment.first_row * args.x_stride + channel;
    in.x_stride = args.x_stride;
    in.channels = args.channels;
    in.columns = args.width - 1;
    in.position = segment.position;
    if (args.width > 1) {
      in.ring_from = FloatsAt(args.ring, segment.src_slot) + channel;
      in.ring_to = FloatsAt(args.ring, segment.dst_slot) + channel;
    }
    float* out = args.out + segment.first_row * args.out_stride + channel;
    for (int64_t t = begin; t < end; ++t) {
      float sum = args.bias != nullptr ? args.bias[channel] : 0.0f;
      for (int64_t w = 0; w < args.width; ++w) {
        sum = Fma(args.weight[w * args.channels + channel], in.Input(t - in.columns + w), sum);
      }
      out[t * args.out_stride] = Silu(sum);
    }
    if (block.z() == 0 && args.width > 1) in.UpdateRing(segment.length);
  }
};

}  // namespace

void ConvSilu(Stream& stream, const ConvSiluParams& params) {
  if (params.segment_count == 0) return;
  const int64_t shares =
      params.segment_count < kConvShares ? kConvShares / params.segment_count : 1;
  const int64_t blocks = (params.channels + ConvKernel::kThreads - 1) / ConvKernel::kThreads;
  Launch<ConvKernel>(stream, {blocks, params.segment_count, shares}, ConvKernel::kThreads, params);
}

}  // namespace ssmd::kernels::cuda::plain
