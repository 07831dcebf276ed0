#include <vector>

#include "kernels/reference/ops.h"
#include "kernels/reference/state.h"

namespace ssmd::kernels::reference {
namespace {

// Element of row `row` of a channel, in blocks of so many rows.
int64_t RowIndex(int64_t rows, int64_t row, int64_t channel) {
  return (channel / kChannelBlock * rows + row) * kChannelBlock + channel % kChannelBlock;
}

void ScanChannel(const DifferenceScanParams& params, const Segment& segment, int64_t channel) {
  const int64_t delays = params.delays;
  // Token p's values are in row p mod delays.
  std::vector<double> u(static_cast<size_t>(delays)), v(static_cast<size_t>(delays));
  for (int64_t row = 0; row < delays; ++row) {
    u[row] = ReadState(params.state, segment.src_slot, RowIndex(2 * delays, row, channel));
    v[row] = ReadState(params.state, segment.src_slot, RowIndex(2 * delays, delays + row, channel));
  }
  for (int64_t t = 0; t < segment.length; ++t) {
    const int64_t position = segment.position + t;
    const int64_t row = segment.first_row + t;
    const double input = params.u[row * params.u_stride + channel];
    double output = 0;
    for (int64_t i = 1; i <= delays; ++i) {
      const int64_t at = (position + delays - i) % delays;
      const int64_t index = RowIndex(delays, i - 1, channel);
      output += params.numerator[index] * u[at] - params.denominator[index] * v[at];
    }
    u[position % delays] = input;
    v[position % delays] = output;
    params.y[row * params.y_stride + channel] =
        static_cast<float>(output + params.d[channel] * input);
  }
  for (int64_t row = 0; row < delays; ++row) {
    WriteState(params.state, segment.dst_slot, RowIndex(2 * delays, row, channel), u[row]);
    WriteState(params.state, segment.dst_slot, RowIndex(2 * delays, delays + row, channel), v[row]);
  }
}

}  // namespace

void DifferenceScan(const DifferenceScanParams& params) {
  for (int64_t s = 0; s < params.segment_count; ++s) {
    const Segment& segment = params.segments[s];
    if (segment.dst_slot < 0) continue;
    for (int64_t c = 0; c < params.channels; ++c) ScanChannel(params, segment, c);
    ClearBlockPadding(params.state, segment.dst_slot, params.channels, params.delays * 2);
  }
}

}  // namespace ssmd::kernels::reference
