// Shared by the tests of matrices on the GPU: packing them there, and products with all that
// MatMul takes.
#ifndef SSMD_TESTS_UNIT_CUDA_PRODUCT_TEST_UTIL_H_
#define SSMD_TESTS_UNIT_CUDA_PRODUCT_TEST_UTIL_H_

#include <cstring>
#include <utility>
#include <vector>

#include "kernels/cuda/layout.h"
#include "kernels/cuda/pack.h"
#include "kernels/host_memory.h"
#include "tests/simt/gpu_fixture.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels::cuda {

// As the CUDA device packs it. The emulated GPU's memory is the host's.
inline PackedMatrix PackForGpu(const MatrixSource& source, WeightFormat format) {
  PackedMatrix matrix;
  matrix.outputs = source.outputs;
  matrix.inputs = source.inputs;
  matrix.format = format;
  matrix.data = AllocateHost(PackedMatrixBytes(source.outputs, source.inputs, format));
  EXPECT_TRUE(PackPanels(source, format, 0, PanelCount(source.outputs), matrix.data.data()));
  return matrix;
}

struct ProductShape {
  int64_t rows, outputs, inputs;
};
inline std::ostream& operator<<(std::ostream& out, const ProductShape& shape) {
  return out << shape.rows << " rows, " << shape.outputs << "x" << shape.inputs;
}

// Operands of a product, with strides wider than the rows.
class ProductOperands {
 public:
  ProductOperands(const ProductShape& shape, bool with_bias, bool with_add)
      : shape_(shape),
        x_(RandomTensor(shape.rows * x_stride(), 1)),
        weights_(RandomTensor(shape.outputs * shape.inputs, 2)),
        bias_(RandomTensor(shape.outputs, 3)),
        add_(RandomTensor(shape.rows * add_stride(), 4)),
        with_bias_(with_bias),
        with_add_(with_add) {}

  MatrixSource source() const { return SourceOf(weights_, shape_.outputs, shape_.inputs); }
  Tensor& x() { return x_; }
  int64_t x_stride() const { return shape_.inputs + 3; }
  int64_t out_stride() const { return shape_.outputs + 1; }

  // `multiply` of rows [begin, end): the output, its padding (which stays at 7) included.
  template <typename Multiply>
  Tensor RunRows(const PackedMatrix& w, int64_t begin, int64_t end,
                 const Multiply& multiply) const {
    Tensor out(static_cast<size_t>((end - begin) * out_stride()), 7.0f);
    MatMulParams params;
    params.x = x_.data() + begin * x_stride();
    params.x_stride = x_stride();
    params.rows = end - begin;
    params.w = &w;
    if (with_bias_) params.bias = bias_.data();
    if (with_add_) params.add = add_.data() + begin * add_stride();
    params.add_stride = add_stride();
    params.out = out.data();
    params.out_stride = out_stride();
    multiply(params);
    return out;
  }
  template <typename Multiply>
  Tensor Run(const PackedMatrix& w, const Multiply& multiply) const {
    return RunRows(w, 0, shape_.rows, multiply);
  }
  Tensor RunOn(Device& device, WeightFormat format) const {
    const PackedMatrix w = device.Pack(source(), format);
    return Run(w, [&](const MatMulParams& params) { device.MatMul(params); });
  }

 private:
  int64_t add_stride() const { return shape_.outputs + 2; }

  ProductShape shape_;
  Tensor x_, weights_, bias_, add_;
  bool with_bias_, with_add_;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_TESTS_UNIT_CUDA_PRODUCT_TEST_UTIL_H_
