// A Mamba-1 recurrence over random inputs.
#ifndef SSMD_TESTS_UNIT_KERNELS_SCAN_TEST_UTIL_H_
#define SSMD_TESTS_UNIT_KERNELS_SCAN_TEST_UTIL_H_

#include <vector>

#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {

struct ScanShape {
  int64_t channels, state_size, rows;
};

// A recurrence over fixed random inputs, with its own state slots. Tests change the inputs.
struct Scan {
  explicit Scan(const ScanShape& s)
      : shape(s),
        x(RandomTensor(s.rows * (s.channels + 1), 1)),
        dt(RandomTensor(s.rows * (s.channels + 2), 2, -6, 1)),
        b(RandomTensor(s.rows * (s.state_size + 3), 3)),
        c(RandomTensor(s.rows * (s.state_size + 4), 4)),
        z(RandomTensor(s.rows * (s.channels + 5), 5, -4, 4)),
        a(RandomTensor(PaddedChannels(s.channels) * s.state_size, 6, -16, -0.5)),
        d(RandomTensor(s.channels, 7)),
        slots(4, PaddedChannels(s.channels) * s.state_size, 8) {
    for (int slot = 0; slot < 4; ++slot) ClearPadding(slots.at(slot));
  }

  void ClearPadding(float* state) const {
    for (int64_t channel = shape.channels; channel < PaddedChannels(shape.channels); ++channel) {
      for (int64_t n = 0; n < shape.state_size; ++n) {
        state[(channel / 64 * shape.state_size + n) * 64 + channel % 64] = 0;
      }
    }
  }

  // Rows that no segment writes hold 7.
  Tensor Run(Device& device, const std::vector<Segment>& segments) {
    Tensor y(static_cast<size_t>(shape.rows * (shape.channels + 6)), 7.0f);
    RunInto(device, segments, y);
    return y;
  }
  void RunInto(Device& device, const std::vector<Segment>& segments, Tensor& y) {
    SelectiveScanParams params = Params(segments);
    params.y = y.data();
    params.y_stride = shape.channels + 6;
    device.SelectiveScan(params);
  }
  SelectiveScanParams Params(const std::vector<Segment>& segments) {
    SelectiveScanParams params;
    params.segments = segments.data();
    params.segment_count = static_cast<int64_t>(segments.size());
    params.channels = shape.channels;
    params.state_size = shape.state_size;
    params.x = x.data();
    params.x_stride = shape.channels + 1;
    params.dt = dt.data();
    params.dt_stride = shape.channels + 2;
    params.b = b.data();
    params.b_stride = shape.state_size + 3;
    params.c = c.data();
    params.c_stride = shape.state_size + 4;
    params.z = z.data();
    params.z_stride = shape.channels + 5;
    params.a = a.data();
    params.d = d.data();
    params.state = slots.field();
    return params;
  }

  ScanShape shape;
  Tensor x, dt, b, c, z, a, d;
  Slots slots;
};

}  // namespace ssmd::kernels

#endif  // SSMD_TESTS_UNIT_KERNELS_SCAN_TEST_UTIL_H_
