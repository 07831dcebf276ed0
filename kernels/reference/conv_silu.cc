#include <algorithm>
#include <cmath>

#include "kernels/reference/ops.h"

namespace ssmd::kernels::reference {
namespace {

void ConvSegment(const ConvSiluParams& params, const Segment& segment) {
  const int64_t taps_held = params.width - 1;
  const int64_t channels = params.channels;
  const float* source = taps_held > 0 ? params.ring.floats(segment.src_slot) : nullptr;
  float* target = taps_held > 0 ? params.ring.floats(segment.dst_slot) : nullptr;
  if (target != source) std::copy(source, source + taps_held * channels, target);

  for (int64_t t = 0; t < segment.length; ++t) {
    const int64_t row = segment.first_row + t;
    const int64_t position = segment.position + t;
    for (int64_t c = 0; c < channels; ++c) {
      double sum = params.bias != nullptr ? params.bias[c] : 0.0;
      for (int64_t w = 0; w < params.width; ++w) {
        // Input of position − age. Columns of a fresh ring are zero, so any phase will do below 0.
        const int64_t age = taps_held - w;
        const int64_t column =
            age == 0 ? 0 : ((position - age) % taps_held + taps_held) % taps_held;
        const float input =
            age == 0 ? params.x[row * params.x_stride + c] : target[column * channels + c];
        sum += double{params.weight[w * channels + c]} * input;
      }
      params.out[row * params.out_stride + c] = static_cast<float>(Silu(sum));
    }
    if (taps_held == 0) continue;
    std::copy(params.x + row * params.x_stride, params.x + row * params.x_stride + channels,
              target + position % taps_held * channels);
  }
}

}  // namespace

double Silu(double x) { return x / (1 + std::exp(-x)); }

void ConvSilu(const ConvSiluParams& params) {
  for (int64_t s = 0; s < params.segment_count; ++s) {
    if (params.segments[s].dst_slot >= 0) ConvSegment(params, params.segments[s]);
  }
}

}  // namespace ssmd::kernels::reference
