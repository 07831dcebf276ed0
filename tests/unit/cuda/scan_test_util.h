// A Mamba-1 recurrence over random inputs, for the tests of its plain and fast kernels.
#ifndef SSMD_TESTS_UNIT_CUDA_SCAN_TEST_UTIL_H_
#define SSMD_TESTS_UNIT_CUDA_SCAN_TEST_UTIL_H_

#include "tests/unit/cuda/cuda_test_util.h"

namespace ssmd::kernels::cuda {

struct ScanShape {
  int64_t channels, state_size, rows;
  int64_t pad = 1;  // what strides exceed widths by
};

// With its own state slots. Tests change the inputs.
struct Scan {
  explicit Scan(const ScanShape& s)
      : shape(s),
        x(RandomTensor(s.rows * (s.channels + s.pad), 1)),
        dt(RandomTensor(s.rows * (s.channels + 2 * s.pad), 2, -6, 1)),
        b(RandomTensor(s.rows * (s.state_size + 3 * s.pad), 3)),
        c(RandomTensor(s.rows * (s.state_size + 4 * s.pad), 4)),
        z(RandomTensor(s.rows * (s.channels + 5 * s.pad), 5, -4, 4)),
        a(RandomTensor(PaddedChannels(s.channels) * s.state_size, 6, -16, -0.5)),
        d(RandomTensor(s.channels, 7)),
        slots(5, PaddedChannels(s.channels) * s.state_size, 8) {
    for (int slot = 0; slot < 5; ++slot) ClearPadding(slots.at(slot));
  }

  int64_t y_stride() const { return shape.channels + 6 * shape.pad; }

  void ClearPadding(float* state) const {
    for (int64_t channel = shape.channels; channel < PaddedChannels(shape.channels); ++channel) {
      for (int64_t n = 0; n < shape.state_size; ++n) {
        state[(channel / 64 * shape.state_size + n) * 64 + channel % 64] = 0;
      }
    }
  }

  // Rows that no segment writes hold 7.
  Tensor Run(const Op<SelectiveScanParams>& op, const std::vector<Segment>& segments) {
    Tensor y(static_cast<size_t>(shape.rows * y_stride()), 7.0f);
    RunInto(op, segments, y);
    return y;
  }
  void RunInto(const Op<SelectiveScanParams>& op, const std::vector<Segment>& segments, Tensor& y) {
    SelectiveScanParams params = Params(segments);
    params.y = y.data();
    params.y_stride = y_stride();
    op(params);
  }
  // y replaces x.
  void RunInPlace(const Op<SelectiveScanParams>& op, const std::vector<Segment>& segments) {
    SelectiveScanParams params = Params(segments);
    params.y = x.data();
    params.y_stride = params.x_stride;
    op(params);
  }
  SelectiveScanParams Params(const std::vector<Segment>& segments) const {
    SelectiveScanParams params;
    params.segments = segments.data();
    params.segment_count = static_cast<int64_t>(segments.size());
    params.channels = shape.channels;
    params.state_size = shape.state_size;
    params.x = x.data();
    params.x_stride = shape.channels + shape.pad;
    params.dt = dt.data();
    params.dt_stride = shape.channels + 2 * shape.pad;
    params.b = b.data();
    params.b_stride = shape.state_size + 3 * shape.pad;
    params.c = c.data();
    params.c_stride = shape.state_size + 4 * shape.pad;
    params.z = z.data();
    params.z_stride = shape.channels + 5 * shape.pad;
    params.a = a.data();
    params.d = d.data();
    params.state = slots.field();
    return params;
  }

  ScanShape shape;
  Tensor x, dt, b, c, z, a, d;
  mutable Slots slots;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_TESTS_UNIT_CUDA_SCAN_TEST_UTIL_H_
