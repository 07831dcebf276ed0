// State is double within a segment (see selective_scan.cc).
#include <complex>

#include "kernels/reference/ops.h"
#include "kernels/reference/state.h"

namespace ssmd::kernels::reference {
namespace {

void ScanMode(const ComplexScanParams& params, const Segment& segment, int64_t n) {
  const int64_t imaginary = params.modes + n;
  const std::complex<double> decay(params.decay[n], params.decay[imaginary]);
  std::complex<double> h(ReadState(params.state, segment.src_slot, n),
                         ReadState(params.state, segment.src_slot, imaginary));
  for (int64_t t = 0; t < segment.length; ++t) {
    float* x = params.x + (segment.first_row + t) * params.x_stride;
    h = decay * h + std::complex<double>(x[n], x[imaginary]);
    x[n] = static_cast<float>(h.real());
    x[imaginary] = static_cast<float>(h.imag());
  }
  WriteState(params.state, segment.dst_slot, n, h.real());
  WriteState(params.state, segment.dst_slot, imaginary, h.imag());
}

}  // namespace

void ComplexScan(const ComplexScanParams& params) {
  for (int64_t s = 0; s < params.segment_count; ++s) {
    const Segment& segment = params.segments[s];
    if (segment.dst_slot < 0) continue;
    for (int64_t n = 0; n < params.modes; ++n) ScanMode(params, segment, n);
  }
}

}  // namespace ssmd::kernels::reference
