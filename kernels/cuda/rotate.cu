// Rotation of pairs of columns by the position, plain: a thread a pair of all heads, over a share
// of a segment's tokens.
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/token_shares.h"

namespace ssmd::kernels::cuda::plain {
namespace {

// Operation for operation what cpu/rotate_kernel.h does, which has the reasons.
struct Rotation {
  double cosine, sine;
};
SIMT_DEVICE Rotation RotationBy(double angle) {
  const double magic = 0x1.8p52;
  const double n = Fma(angle, 0x1.45f306dc9c883p-3, magic) - magic;
  double half = Fma(n, -0x1.921fb54442d18p+1, angle * 0.5);
  half = Fma(n, -0x1.1a62633145c07p-53, half);
  const double square = half * half;
  double s = 1.0 / 355687428096000;
  s = Fma(s, square, -1.0 / 1307674368000);
  s = Fma(s, square, 1.0 / 6227020800);
  s = Fma(s, square, -1.0 / 39916800);
  s = Fma(s, square, 1.0 / 362880);
  s = Fma(s, square, -1.0 / 5040);
  s = Fma(s, square, 1.0 / 120);
  s = Fma(s, square, -1.0 / 6);
  const double sine = Fma(s * square, half, half);
  double c = 1.0 / 20922789888000;
  c = Fma(c, square, -1.0 / 87178291200);
  c = Fma(c, square, 1.0 / 479001600);
  c = Fma(c, square, -1.0 / 3628800);
  c = Fma(c, square, 1.0 / 40320);
  c = Fma(c, square, -1.0 / 720);
  c = Fma(c, square, 1.0 / 24);
  c = Fma(c, square, -0.5);
  const double cosine = Fma(c, square, 1.0);
  return {Fma(sine * -2.0, sine, 1.0), sine * cosine * 2.0};
}

struct RotateKernel {
  static constexpr char kName[] = "rotate";
  static constexpr int kThreads = 64;
  using Args = RotateParams;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.segments[block.y()];
    const int64_t pair = block.x() * kThreads + block.thread();
    if (segment.dst_slot < 0 || pair >= args.head_dim / 2) return;
    const double frequency = args.frequencies[pair];
    const double scale = static_cast<double>(args.scale);
    const TokenShare share = TokenShareOf(block, segment.length);
    for (int64_t t = share.begin; t < share.end; ++t) {
      const auto position = static_cast<double>(segment.position + t);
      const Rotation rotation = RotationBy(position * frequency);
      const auto own = static_cast<float>(scale * rotation.cosine);
      const auto other = static_cast<float>(scale * rotation.sine);
      float* x = args.x + (segment.first_row + t) * args.x_stride + 2 * pair;
      for (int64_t head = 0; head < args.heads; ++head, x += args.head_dim) {
        const float a = x[0];
        const float b = x[1];
        x[0] = Fma(a, own, b * -other);
        x[1] = Fma(b, own, a * other);
      }
    }
  }
};

}  // namespace

void Rotate(Stream& stream, const RotateParams& params) {
  if (params.segment_count == 0) return;
  const int64_t blocks =
      (params.head_dim / 2 + RotateKernel::kThreads - 1) / RotateKernel::kThreads;
  Launch<RotateKernel>(stream, {blocks, params.segment_count, TokenSharesOf(params.segment_count)},
                       RotateKernel::kThreads, params);
}

}  // namespace ssmd::kernels::cuda::plain
