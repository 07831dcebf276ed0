// State in f32 is double within a segment (see selective_scan.cc).
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/reference/ops.h"
#include "kernels/reference/state.h"

namespace ssmd::kernels::reference {
namespace {

double StepOf(const SsdScanParams& params, int64_t row, int64_t head) {
  if (params.dt == nullptr) return 1;
  double dt = params.dt[row * params.dt_stride + head];
  if (params.dt_bias != nullptr) dt += params.dt_bias[head];
  return std::clamp(Softplus(dt), double{params.dt_min}, double{params.dt_max});
}

// One channel of a head: s is its state, N values.
void ScanHeadChannel(const SsdScanParams& params, const Segment& segment, int64_t head,
                     int64_t channel, std::vector<double>& s) {
  const int64_t lanes = PaddedLanes(params.head_dim);
  const int64_t column = head * params.head_dim + channel;
  const int64_t group = head / (params.heads / params.groups) * params.state_size;
  const int64_t first = head * params.state_size * lanes + channel;
  for (int64_t n = 0; n < params.state_size; ++n) {
    s[n] = ReadState(params.state, segment.src_slot, first + n * lanes);
  }

  for (int64_t t = 0; t < segment.length; ++t) {
    const int64_t row = segment.first_row + t;
    const double x = params.x[row * params.x_stride + column];
    const double delta = StepOf(params, row, head);
    const double decay = std::exp(delta * params.a[head]);
    double y = params.d != nullptr ? params.d[column] * x : 0;
    for (int64_t n = 0; n < params.state_size; ++n) {
      s[n] = decay * s[n] + delta * x * params.b[row * params.b_stride + group + n];
      y += params.c[row * params.c_stride + group + n] * s[n];
      s[n] = KeptState(params.state, s[n], segment.position + t, first + n * lanes);
    }
    params.y[row * params.y_stride + column] = static_cast<float>(y);
  }
  for (int64_t n = 0; n < params.state_size; ++n) {
    WriteState(params.state, segment.dst_slot, first + n * lanes, s[n]);
  }
}

void ClearPadding(const SsdScanParams& params, int32_t slot) {
  const int64_t lanes = PaddedLanes(params.head_dim);
  for (int64_t row = 0; row < params.heads * params.state_size; ++row) {
    for (int64_t lane = params.head_dim; lane < lanes; ++lane) {
      WriteState(params.state, slot, row * lanes + lane, 0);
    }
  }
}

}  // namespace

void SsdScan(const SsdScanParams& params) {
  std::vector<double> state(static_cast<size_t>(params.state_size));
  for (int64_t i = 0; i < params.segment_count; ++i) {
    const Segment& segment = params.segments[i];
    if (segment.dst_slot < 0) continue;
    for (int64_t head = 0; head < params.heads; ++head) {
      for (int64_t channel = 0; channel < params.head_dim; ++channel) {
        ScanHeadChannel(params, segment, head, channel, state);
      }
    }
    ClearPadding(params, segment.dst_slot);
  }
}

}  // namespace ssmd::kernels::reference
