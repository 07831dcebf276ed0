// State is double within a segment (see selective_scan.cc).
#include <vector>

#include "kernels/reference/ops.h"
#include "kernels/reference/state.h"

namespace ssmd::kernels::reference {
namespace {

void ScanChannel(const DenseScanParams& params, const Segment& segment, int64_t channel) {
  const int64_t lanes = PaddedLanes(params.channels);
  std::vector<double> h(static_cast<size_t>(params.state_size));
  std::vector<double> next(h.size());
  for (int64_t n = 0; n < params.state_size; ++n) {
    h[n] = ReadState(params.state, segment.src_slot, n * lanes + channel);
  }
  for (int64_t t = 0; t < segment.length; ++t) {
    const int64_t row = segment.first_row + t;
    const double u = params.u[row * params.u_stride + channel];
    double y = params.d[channel] * u;
    for (int64_t n = 0; n < params.state_size; ++n) {
      next[n] = params.b[n] * u;
      for (int64_t m = 0; m < params.state_size; ++m) {
        next[n] += params.a[n * params.state_size + m] * h[m];
      }
      y += params.output[n * lanes + channel] * next[n];
    }
    h.swap(next);
    params.y[row * params.y_stride + channel] = static_cast<float>(y);
  }
  for (int64_t n = 0; n < params.state_size; ++n) {
    WriteState(params.state, segment.dst_slot, n * lanes + channel, h[n]);
  }
}

}  // namespace

void DenseScan(const DenseScanParams& params) {
  for (int64_t s = 0; s < params.segment_count; ++s) {
    const Segment& segment = params.segments[s];
    if (segment.dst_slot < 0) continue;
    for (int64_t c = 0; c < params.channels; ++c) ScanChannel(params, segment, c);
    ClearRowPadding(params.state, segment.dst_slot, params.channels, params.state_size);
  }
}

}  // namespace ssmd::kernels::reference
