// State is double within a segment (see selective_scan.cc).
#include <algorithm>
#include <cmath>

#include "kernels/reference/ops.h"
#include "kernels/reference/state.h"

namespace ssmd::kernels::reference {
namespace {

struct Wkv4Sums {
  double a, b, p;
};

Wkv4Sums SumsBefore(const Wkv4Params& params, const Segment& segment, int64_t channel) {
  if (segment.position == 0) return {0, 0, -1e30};
  return {ReadState(params.state, segment.src_slot, channel),
          ReadState(params.state, segment.src_slot, params.channels + channel),
          ReadState(params.state, segment.src_slot, 2 * params.channels + channel)};
}

// Both sums with a token of this key and value, the old ones' exponent being `p`.
Wkv4Sums WithToken(const Wkv4Sums& sums, double p, double key, double value) {
  const double q = std::max(p, key);
  const double old = std::exp(p - q);
  const double fresh = std::exp(key - q);
  return {old * sums.a + fresh * value, old * sums.b + fresh, q};
}

void ScanChannel(const Wkv4Params& params, const Segment& segment, int64_t channel) {
  const double decay = params.decay[channel];
  const double bonus = params.bonus[channel];
  Wkv4Sums sums = SumsBefore(params, segment, channel);
  for (int64_t t = 0; t < segment.length; ++t) {
    const int64_t row = segment.first_row + t;
    const int64_t at = row * params.x_stride + channel;
    const double k = params.k[at];
    const double v = params.v[at];
    const Wkv4Sums read = WithToken(sums, sums.p, bonus + k, v);
    params.y[row * params.y_stride + channel] =
        static_cast<float>(Sigmoid(params.r[at]) * read.a / read.b);
    sums = WithToken(sums, sums.p + decay, k, v);
  }
  WriteState(params.state, segment.dst_slot, channel, sums.a);
  WriteState(params.state, segment.dst_slot, params.channels + channel, sums.b);
  WriteState(params.state, segment.dst_slot, 2 * params.channels + channel, sums.p);
}

}  // namespace

void Wkv4(const Wkv4Params& params) {
  for (int64_t s = 0; s < params.segment_count; ++s) {
    const Segment& segment = params.segments[s];
    if (segment.dst_slot < 0) continue;
    for (int64_t c = 0; c < params.channels; ++c) ScanChannel(params, segment, c);
  }
}

}  // namespace ssmd::kernels::reference
