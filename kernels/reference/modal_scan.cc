// State is double within a segment (see selective_scan.cc).
#include <complex>
#include <vector>

#include "kernels/reference/ops.h"
#include "kernels/reference/state.h"

namespace ssmd::kernels::reference {
namespace {

using Complex = std::complex<double>;

// Where a mode of the channel has its real part, in rows of all modes; the imaginary one follows a
// block later. `row` counts the couplings, where there are some.
int64_t ModeIndex(const ModalScanParams& params, int64_t rows, int64_t row, int64_t channel,
                  int64_t n) {
  const int64_t block = channel / kChannelBlock;
  return (((block * rows + row) * params.modes + n) * 2) * kChannelBlock + channel % kChannelBlock;
}

Complex ModeOf(const float* values, int64_t index) {
  return {values[index], values[index + kChannelBlock]};
}

// The new mode n, in which `sums` are s_r.
Complex Advanced(const ModalScanParams& params, int64_t channel, int64_t n, Complex h, double u,
                 const std::vector<double>& sums) {
  Complex next = ModeOf(params.decay, ModeIndex(params, 1, 0, channel, n)) * h + u;
  for (int64_t r = 0; r < params.rank; ++r) {
    const int64_t index = ModeIndex(params, params.rank, r, channel, n);
    next -= ModeOf(params.coupling_out, index) * sums[r];
  }
  return next;
}

void Couple(const ModalScanParams& params, int64_t channel, const std::vector<Complex>& h,
            std::vector<double>& sums) {
  for (int64_t r = 0; r < params.rank; ++r) {
    sums[r] = 0;
    for (int64_t n = 0; n < params.modes; ++n) {
      const int64_t index = ModeIndex(params, params.rank, r, channel, n);
      sums[r] += (ModeOf(params.coupling_in, index) * h[n]).real();
    }
  }
}

void ScanChannel(const ModalScanParams& params, const Segment& segment, int64_t channel) {
  std::vector<Complex> h(static_cast<size_t>(params.modes));
  std::vector<double> sums(static_cast<size_t>(params.rank));
  for (int64_t n = 0; n < params.modes; ++n) {
    const int64_t index = ModeIndex(params, 1, 0, channel, n);
    h[n] = {ReadState(params.state, segment.src_slot, index),
            ReadState(params.state, segment.src_slot, index + kChannelBlock)};
  }
  for (int64_t t = 0; t < segment.length; ++t) {
    const int64_t row = segment.first_row + t;
    const double u = params.u[row * params.u_stride + channel];
    Couple(params, channel, h, sums);
    double y = double{params.d[channel]} * u;
    for (int64_t n = 0; n < params.modes; ++n) {
      h[n] = Advanced(params, channel, n, h[n], u, sums);
      y += (ModeOf(params.output, ModeIndex(params, 1, 0, channel, n)) * h[n]).real();
    }
    params.y[row * params.y_stride + channel] = static_cast<float>(y);
  }
  for (int64_t n = 0; n < params.modes; ++n) {
    const int64_t index = ModeIndex(params, 1, 0, channel, n);
    WriteState(params.state, segment.dst_slot, index, h[n].real());
    WriteState(params.state, segment.dst_slot, index + kChannelBlock, h[n].imag());
  }
}

}  // namespace

void ModalScan(const ModalScanParams& params) {
  for (int64_t s = 0; s < params.segment_count; ++s) {
    const Segment& segment = params.segments[s];
    if (segment.dst_slot < 0) continue;
    for (int64_t c = 0; c < params.channels; ++c) ScanChannel(params, segment, c);
    ClearBlockPadding(params.state, segment.dst_slot, params.channels, params.modes * 2);
  }
}

}  // namespace ssmd::kernels::reference
