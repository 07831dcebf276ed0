#include "kernels/reference/ops.h"
#include "kernels/reference/state.h"

namespace ssmd::kernels::reference {
namespace {

void ShiftChannel(const TokenShiftParams& params, const Segment& segment, int64_t channel) {
  double previous = ReadState(params.previous, segment.src_slot, channel);
  for (int64_t t = 0; t < segment.length; ++t) {
    const int64_t row = segment.first_row + t;
    const double x = params.x[row * params.x_stride + channel];
    for (int i = 0; i < params.count; ++i) {
      double mix = params.mix[i][channel];
      if (params.delta[i] != nullptr) mix += params.delta[i][row * params.delta_stride + channel];
      params.out[i][row * params.out_stride + channel] =
          static_cast<float>(x + (previous - x) * mix);
    }
    previous = x;
  }
  if (!params.keep_state) WriteState(params.previous, segment.dst_slot, channel, previous);
}

}  // namespace

void TokenShift(const TokenShiftParams& params) {
  for (int64_t s = 0; s < params.segment_count; ++s) {
    const Segment& segment = params.segments[s];
    if (segment.dst_slot < 0) continue;
    for (int64_t c = 0; c < params.channels; ++c) ShiftChannel(params, segment, c);
  }
}

}  // namespace ssmd::kernels::reference
