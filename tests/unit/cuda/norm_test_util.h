// Norms over random inputs, for the tests of their plain and fast kernels.
#ifndef SSMD_TESTS_UNIT_CUDA_NORM_TEST_UTIL_H_
#define SSMD_TESTS_UNIT_CUDA_NORM_TEST_UTIL_H_

#include "tests/unit/cuda/cuda_test_util.h"

namespace ssmd::kernels::cuda {

struct NormCase {
  int64_t rows, cols;
  bool weighted, indexed;
  int64_t pad = 1;  // what strides exceed cols by

  int64_t out_stride() const { return cols + pad; }
};

// What lies between rows holds 7.
inline Tensor RunNorm(const Op<RmsNormParams>& op, const NormCase& norm) {
  const int64_t stride = norm.cols + 5 * norm.pad;
  const Tensor x = RandomTensor(2 * norm.rows * stride, 1, -3, 5);
  const Tensor weight = RandomTensor(norm.cols, 2);
  std::vector<int32_t> index;
  for (int64_t r = 0; r < norm.rows; ++r) index.push_back(static_cast<int32_t>(2 * r + 1));
  Tensor out(static_cast<size_t>(norm.rows * norm.out_stride()), 7.0f);
  RmsNormParams params;
  params.x = x.data();
  params.x_stride = stride;
  params.row_index = norm.indexed ? index.data() : nullptr;
  params.weight = norm.weighted ? weight.data() : nullptr;
  params.eps = 1e-5f;
  params.rows = norm.rows;
  params.cols = norm.cols;
  params.out = out.data();
  params.out_stride = norm.out_stride();
  op(params);
  return out;
}

struct GatedNormCase {
  int64_t rows, cols, groups;
  GateOrder order;
  bool weighted;
  bool in_place = false;
  int64_t pad = 1;

  int64_t out_stride() const { return cols + 5 * pad; }
};

inline constexpr GateOrder kGateOrders[] = {GateOrder::kGateFirst, GateOrder::kNormFirst,
                                            GateOrder::kGateOnly};

// What lies between rows holds what x holds there.
inline Tensor RunGatedNorm(const Op<GatedRmsNormParams>& op, const GatedNormCase& norm) {
  const Tensor x = RandomTensor(norm.rows * norm.out_stride(), 1, -3, 5);
  const Tensor gate = RandomTensor(norm.rows * (norm.cols + 3 * norm.pad), 2, -4, 4);
  const Tensor weight = RandomTensor(norm.cols, 3);
  Tensor out = x;
  GatedRmsNormParams params;
  params.x = norm.in_place ? out.data() : x.data();
  params.x_stride = norm.out_stride();
  params.gate = gate.data();
  params.gate_stride = norm.cols + 3 * norm.pad;
  params.weight = norm.weighted ? weight.data() : nullptr;
  params.order = norm.order;
  params.eps = 1e-5f;
  params.rows = norm.rows;
  params.cols = norm.cols;
  params.groups = norm.groups;
  params.out = out.data();
  params.out_stride = norm.out_stride();
  op(params);
  return out;
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_TESTS_UNIT_CUDA_NORM_TEST_UTIL_H_
