// The recurrence of RWKV-4, plain: a thread a channel of a segment, its sums in registers.
#include "kernels/cuda/math.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/states.h"

namespace ssmd::kernels::cuda::plain {
namespace {

// Sums as mantissas of e^p.
struct Wkv4Sums {
  float a, b, p;
};

// Both sums, the old ones' exponent being `p`, with a token of this key and value.
SIMT_DEVICE Wkv4Sums WithToken(const Wkv4Sums& sums, float p, float key, float value) {
  const float ahead = p - key;
  const float e = Exp(0.0f - Abs(ahead));
  const float old = ahead > 0.0f ? 1.0f : e;
  const float fresh = ahead > 0.0f ? e : 1.0f;
  return {Fma(old, sums.a, fresh * value), Fma(old, sums.b, fresh), ahead > 0.0f ? p : key};
}

struct Wkv4Kernel {
  static constexpr char kName[] = "wkv4";
  static constexpr int kThreads = 64;
  using Args = Wkv4Params;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.segments[block.y()];
    const int64_t channel = block.x() * kThreads + block.thread();
    if (segment.dst_slot < 0 || channel >= args.channels) return;
    const float decay = args.decay[channel];
    const float bonus = args.bonus[channel];
    Wkv4Sums sums = {0, 0, -1e30f};
    if (segment.position > 0) {
      const float* from = FloatsAt(args.state, segment.src_slot) + channel;
      sums = {from[0], from[args.channels], from[2 * args.channels]};
    }
    for (int64_t t = 0; t < segment.length; ++t) {
      const int64_t row = segment.first_row + t;
      const int64_t at = row * args.x_stride + channel;
      const float k = args.k[at];
      const float v = args.v[at];
      const Wkv4Sums read = WithToken(sums, sums.p, bonus + k, v);
      args.y[row * args.y_stride + channel] = Sigmoid(args.r[at]) * Divide(read.a, read.b);
      sums = WithToken(sums, sums.p + decay, k, v);
    }
    float* to = FloatsAt(args.state, segment.dst_slot) + channel;
    to[0] = sums.a;
    to[args.channels] = sums.b;
    to[2 * args.channels] = sums.p;
  }
};

}  // namespace

void Wkv4(Stream& stream, const Wkv4Params& params) {
  if (params.segment_count == 0) return;
  const int64_t blocks = (params.channels + Wkv4Kernel::kThreads - 1) / Wkv4Kernel::kThreads;
  Launch<Wkv4Kernel>(stream, {blocks, params.segment_count}, Wkv4Kernel::kThreads, params);
}

}  // namespace ssmd::kernels::cuda::plain
