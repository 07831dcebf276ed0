// State in f32 is that between segments, double within one: the oracle's state does not drift while
// it steps through a segment. Narrower ones are rounded after each token.
#include <cmath>
#include <vector>

#include "kernels/reference/ops.h"
#include "kernels/reference/state.h"

namespace ssmd::kernels::reference {
namespace {

int64_t StateIndex(const SelectiveScanParams& params, int64_t channel, int64_t n) {
  return (channel / kChannelBlock * params.state_size + n) * kChannelBlock +
         channel % kChannelBlock;
}

void ScanChannel(const SelectiveScanParams& params, const Segment& segment, int64_t channel,
                 std::vector<double>& h) {
  for (int64_t n = 0; n < params.state_size; ++n) {
    h[n] = ReadState(params.state, segment.src_slot, StateIndex(params, channel, n));
  }

  for (int64_t t = 0; t < segment.length; ++t) {
    const int64_t row = segment.first_row + t;
    const double x = params.x[row * params.x_stride + channel];
    const double delta = Softplus(params.dt[row * params.dt_stride + channel]);
    double y = double{params.d[channel]} * x;
    for (int64_t n = 0; n < params.state_size; ++n) {
      const int64_t element = StateIndex(params, channel, n);
      const double a = params.a[element];
      h[n] = std::exp(delta * a) * h[n] + delta * x * params.b[row * params.b_stride + n];
      y += params.c[row * params.c_stride + n] * h[n];
      h[n] = KeptState(params.state, h[n], segment.position + t, element);
    }
    params.y[row * params.y_stride + channel] =
        static_cast<float>(y * Silu(params.z[row * params.z_stride + channel]));
  }
  for (int64_t n = 0; n < params.state_size; ++n) {
    WriteState(params.state, segment.dst_slot, StateIndex(params, channel, n), h[n]);
  }
}

}  // namespace

double Softplus(double x) { return x > 20 ? x : std::log1p(std::exp(x)); }

void SelectiveScan(const SelectiveScanParams& params) {
  std::vector<double> h(static_cast<size_t>(params.state_size));
  for (int64_t s = 0; s < params.segment_count; ++s) {
    const Segment& segment = params.segments[s];
    if (segment.dst_slot < 0) continue;
    for (int64_t c = 0; c < params.channels; ++c) ScanChannel(params, segment, c, h);
    // The padding of the last block is zero in every source; it is zero in the target too.
    for (int64_t c = params.channels; c < PaddedChannels(params.channels); ++c) {
      for (int64_t n = 0; n < params.state_size; ++n) {
        WriteState(params.state, segment.dst_slot, StateIndex(params, c, n), 0);
      }
    }
  }
}

}  // namespace ssmd::kernels::reference
