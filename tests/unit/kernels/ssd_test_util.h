// A Mamba-2 recurrence over random inputs, for the tests of its two forms.
#ifndef SSMD_TESTS_UNIT_KERNELS_SSD_TEST_UTIL_H_
#define SSMD_TESTS_UNIT_KERNELS_SSD_TEST_UTIL_H_

#include <limits>
#include <vector>

#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {

struct SsdShape {
  int64_t heads, head_dim, groups, state_size, rows;

  int64_t channels() const { return heads * head_dim; }
  int64_t state_elements() const { return heads * state_size * PaddedLanes(head_dim); }
};

// A recurrence over fixed random inputs, with its own state slots. Tests change the inputs.
struct Ssd {
  explicit Ssd(const SsdShape& s)
      : shape(s),
        x(RandomTensor(s.rows * (s.channels() + 1), 1)),
        dt(RandomTensor(s.rows * (s.heads + 2), 2, -6, 1)),
        b(RandomTensor(s.rows * (s.groups * s.state_size + 3), 3)),
        c(RandomTensor(s.rows * (s.groups * s.state_size + 4), 4)),
        dt_bias(RandomTensor(s.heads, 5)),
        a(RandomTensor(s.heads, 6, -16, -0.5)),
        d(RandomTensor(s.channels(), 7)),
        slots(4, s.state_elements(), 8) {
    for (int slot = 0; slot < 4; ++slot) ClearPadding(slots.at(slot));
  }

  int64_t y_stride() const { return shape.channels() + 6; }

  void ClearPadding(float* state) const {
    const int64_t lanes = PaddedLanes(shape.head_dim);
    for (int64_t i = 0; i < shape.state_elements(); ++i) {
      if (i % lanes >= shape.head_dim) state[i] = 0;
    }
  }

  // In chunks, with scratch that holds what must not be read.
  Ssd Chunked() const {
    Ssd chunked = *this;
    chunked.scratch.assign(
        static_cast<size_t>(shape.rows * SsdChunkScratch(shape.groups, shape.state_size)), NAN);
    return chunked;
  }

  // Rows that no segment writes hold 7.
  Tensor Run(Device& device, const std::vector<Segment>& segments) {
    Tensor y(static_cast<size_t>(shape.rows * y_stride()), 7.0f);
    RunInto(device, segments, y);
    return y;
  }
  void RunInto(Device& device, const std::vector<Segment>& segments, Tensor& y) {
    SsdScanParams params = Params(segments);
    params.y = y.data();
    params.y_stride = y_stride();
    device.SsdScan(params);
  }
  SsdScanParams Params(const std::vector<Segment>& segments) {
    SsdScanParams params;
    params.segments = segments.data();
    params.segment_count = static_cast<int64_t>(segments.size());
    params.heads = shape.heads;
    params.head_dim = shape.head_dim;
    params.groups = shape.groups;
    params.state_size = shape.state_size;
    params.x = x.data();
    params.x_stride = shape.channels() + 1;
    params.dt = dt.empty() ? nullptr : dt.data();
    params.dt_stride = shape.heads + 2;
    params.b = b.data();
    params.b_stride = shape.groups * shape.state_size + 3;
    params.c = c.data();
    params.c_stride = shape.groups * shape.state_size + 4;
    params.dt_bias = dt_bias.empty() ? nullptr : dt_bias.data();
    params.dt_min = dt_min;
    params.dt_max = dt_max;
    params.a = a.data();
    params.d = d.empty() ? nullptr : d.data();
    params.state = slots.field();
    params.chunk_scratch = scratch.empty() ? nullptr : scratch.data();
    return params;
  }

  SsdShape shape;
  Tensor x, dt, b, c, dt_bias, a, d;
  Tensor scratch;  // empty: step by step
  float dt_min = 0;
  float dt_max = std::numeric_limits<float>::infinity();
  Slots slots;
};

}  // namespace ssmd::kernels

#endif  // SSMD_TESTS_UNIT_KERNELS_SSD_TEST_UTIL_H_
