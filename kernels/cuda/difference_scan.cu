// A difference equation per channel, plain: a thread a channel of a segment, whose ring stays where
// the state will be.
#include "kernels/cuda/double_math.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/states.h"

namespace ssmd::kernels::cuda::plain {
namespace {

SIMT_DEVICE double FmaOrZero(double a, double b, double c) { return NormalOrZero(Fma(a, b, c)); }

struct DifferenceScanKernel {
  static constexpr char kName[] = "difference_scan";
  static constexpr int kThreads = kChannelBlock;
  using Args = DifferenceScanParams;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.segments[block.y()];
    if (segment.dst_slot < 0) return;
    const int64_t channel = block.x() * kChannelBlock + block.thread();
    const int64_t rows = args.delays * kChannelBlock;  // elements of a ring's block
    const int64_t first = block.x() * rows + block.thread();
    const bool exists = channel < args.channels;
    const int64_t state = 2 * block.x() * rows + block.thread();
    const double* from = DoublesAt(args.state, segment.src_slot) + state;
    double* u_ring = DoublesAt(args.state, segment.dst_slot) + state;
    double* v_ring = u_ring + rows;
    for (int64_t i = 0; i < 2 * rows; i += kChannelBlock) u_ring[i] = exists ? from[i] : 0;
    if (!exists) return;
    for (int32_t t = 0; t < segment.length; ++t) {
      const int64_t row = segment.first_row + t;
      const double u = args.u[row * args.u_stride + channel];
      const int64_t oldest = (segment.position + t) % args.delays;
      double v = Sum<false>(args, args.numerator + first, u_ring, oldest, 0);
      v = Sum<true>(args, args.denominator + first, v_ring, oldest, v);
      u_ring[oldest * kChannelBlock] = u;
      v_ring[oldest * kChannelBlock] = v;
      args.y[row * args.y_stride + channel] = static_cast<float>(FmaOrZero(args.d[channel], u, v));
    }
  }

 private:
  // Of coefficients and the ring's values, from the longest delay on.
  template <bool kNegated>
  SIMT_DEVICE static double Sum(const Args& args, const double* coefficients, const double* ring,
                                int64_t row, double sum) {
    for (int64_t i = args.delays - 1; i >= 0; --i) {
      const double coefficient = LoadReadOnly(coefficients + i * kChannelBlock);
      sum = FmaOrZero(kNegated ? -coefficient : coefficient, ring[row * kChannelBlock], sum);
      row = row + 1 < args.delays ? row + 1 : 0;
    }
    return sum;
  }
};

}  // namespace

void DifferenceScan(Stream& stream, const DifferenceScanParams& params) {
  if (params.segment_count == 0) return;
  const Grid grid = {PaddedChannels(params.channels) / kChannelBlock, params.segment_count};
  Launch<DifferenceScanKernel>(stream, grid, DifferenceScanKernel::kThreads, params);
}

}  // namespace ssmd::kernels::cuda::plain
