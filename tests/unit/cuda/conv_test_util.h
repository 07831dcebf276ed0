// A convolution over random inputs, for the tests of its plain and fast kernels.
#ifndef SSMD_TESTS_UNIT_CUDA_CONV_TEST_UTIL_H_
#define SSMD_TESTS_UNIT_CUDA_CONV_TEST_UTIL_H_

#include "tests/unit/cuda/cuda_test_util.h"

namespace ssmd::kernels::cuda {

struct ConvShape {
  int64_t channels, width, rows;
  bool with_bias = true;
  int64_t pad = 1;  // what strides exceed channels by
};

// With its own ring slots.
class Conv {
 public:
  explicit Conv(const ConvShape& shape)
      : shape_(shape),
        x_(RandomTensor(shape.rows * (shape.channels + 7 * shape.pad), 1)),
        weight_(RandomTensor(shape.width * shape.channels, 2)),
        bias_(RandomTensor(shape.channels, 3)),
        slots_(5, (shape.width - 1) * shape.channels, 4) {}

  int64_t out_stride() const { return shape_.channels + 2 * shape_.pad; }

  // Rows that no segment writes hold 7.
  Tensor Run(const Op<ConvSiluParams>& op, const std::vector<Segment>& segments) {
    Tensor out(static_cast<size_t>(shape_.rows * out_stride()), 7.0f);
    RunInto(op, segments, out);
    return out;
  }
  void RunInto(const Op<ConvSiluParams>& op, const std::vector<Segment>& segments, Tensor& out) {
    ConvSiluParams params;
    params.segments = segments.data();
    params.segment_count = static_cast<int64_t>(segments.size());
    params.channels = shape_.channels;
    params.width = shape_.width;
    params.x = x_.data();
    params.x_stride = shape_.channels + 7 * shape_.pad;
    params.weight = weight_.data();
    params.bias = shape_.with_bias ? bias_.data() : nullptr;
    params.ring = slots_.field();
    params.out = out.data();
    params.out_stride = out_stride();
    op(params);
  }
  Slots& slots() { return slots_; }

 private:
  ConvShape shape_;
  Tensor x_, weight_, bias_;
  Slots slots_;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_TESTS_UNIT_CUDA_CONV_TEST_UTIL_H_
