// A dense linear system that all channels share, plain: a block takes 16 channels of a segment, and
// of each channel 16 threads take every sixteenth row of the system.
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/states.h"

namespace ssmd::kernels::cuda::plain {
namespace {

struct DenseScanShared {
  float h[2][kMaxModes][kVectorLanes];  // before a token and after it, in turn
};

struct DenseScanKernel {
  static constexpr char kName[] = "dense_scan";
  static constexpr int kParts = 16;
  static constexpr int kThreads = kParts * kVectorLanes;
  using Args = DenseScanParams;
  using Shared = DenseScanShared;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.segments[block.y()];
    if (segment.dst_slot < 0) return;
    auto& h = block.shared<Shared>().h;
    const int64_t lane = block.thread() % kVectorLanes;
    const int64_t part = block.thread() / kVectorLanes;
    const int64_t channel = block.x() * kVectorLanes + lane;
    const bool exists = channel < args.channels;
    const int64_t lanes = block.grid_x() * kVectorLanes;
    const float* from = FloatsAt(args.state, segment.src_slot) + channel;
    for (int64_t n = part; n < args.state_size; n += kParts) h[0][n][lane] = from[n * lanes];

    for (int32_t t = 0; t < segment.length; ++t) {
      const int64_t row = segment.first_row + t;
      const float u = exists ? args.u[row * args.u_stride + channel] : 0;
      auto& next = h[1 - t % 2];
      block.Sync();
      for (int64_t n = part; n < args.state_size; n += kParts) {
        float sum = LoadReadOnly(args.b + n) * u;
        for (int64_t m = 0; m < args.state_size; ++m) {
          sum = Fma(LoadReadOnly(args.a + n * args.state_size + m), h[t % 2][m][lane], sum);
        }
        next[n][lane] = sum;
      }
      block.Sync();
      if (part != 0 || !exists) continue;
      float y = args.d[channel] * u;
      for (int64_t n = 0; n < args.state_size; ++n) {
        y = Fma(LoadReadOnly(args.output + n * lanes + channel), next[n][lane], y);
      }
      args.y[row * args.y_stride + channel] = y;
    }

    float* to = FloatsAt(args.state, segment.dst_slot) + channel;
    for (int64_t n = part; n < args.state_size; n += kParts) {
      to[n * lanes] = exists ? h[segment.length % 2][n][lane] : 0;
    }
  }
};

}  // namespace

void DenseScan(Stream& stream, const DenseScanParams& params) {
  if (params.segment_count == 0) return;
  const Grid grid = {PaddedLanes(params.channels) / kVectorLanes, params.segment_count};
  Launch<DenseScanKernel>(stream, grid, DenseScanKernel::kThreads, params);
}

}  // namespace ssmd::kernels::cuda::plain
