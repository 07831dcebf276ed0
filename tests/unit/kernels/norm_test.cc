#include <gtest/gtest.h>

#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {
namespace {

using RmsNormTest = KernelTest;

struct Norm {
  int64_t rows, cols;
  bool weighted, indexed;
};

Tensor RunNorm(Device& device, const Norm& norm) {
  const int64_t stride = norm.cols + 5;
  const Tensor x = RandomTensor(2 * norm.rows * stride, 1, -3, 5);
  const Tensor weight = RandomTensor(norm.cols, 2);
  std::vector<int32_t> index;
  for (int64_t r = 0; r < norm.rows; ++r) index.push_back(static_cast<int32_t>(2 * r + 1));
  Tensor out(static_cast<size_t>(norm.rows * (norm.cols + 1)), 7.0f);
  RmsNormParams params;
  params.x = x.data();
  params.x_stride = stride;
  params.row_index = norm.indexed ? index.data() : nullptr;
  params.weight = norm.weighted ? weight.data() : nullptr;
  params.eps = 1e-5f;
  params.rows = norm.rows;
  params.cols = norm.cols;
  params.out = out.data();
  params.out_stride = norm.cols + 1;
  device.RmsNorm(params);
  return out;
}

TEST_P(RmsNormTest, AgreesWithTheReferenceAndBitwiseWithScalar) {
  int variant = 0;
  for (int64_t rows : {int64_t{1}, int64_t{3}, Few<int64_t>(70, 4)}) {
    for (int64_t cols : {1, 3, 15, 16, 17, 63, 65, 513, 768, 2561}) {
      const Norm norm{rows, cols, variant % 3 != 0, variant % 2 != 0};
      ++variant;
      const Tensor out = RunNorm(*device_, norm);
      EXPECT_LT(RelativeError(out, RunNorm(*reference_, norm)), Bound(1e-6)) << rows << "x" << cols;
      EXPECT_TRUE(LikeScalar(out, RunNorm(*scalar_, norm))) << rows << "x" << cols;
    }
  }
}

TEST_P(RmsNormTest, WorksInPlace) {
  Tensor x = RandomTensor(3 * 100, 1);
  Tensor apart(x.size());
  RmsNormParams params;
  params.x = x.data();
  params.x_stride = params.out_stride = params.cols = 100;
  params.eps = 1e-6f;
  params.rows = 3;
  params.out = apart.data();
  device_->RmsNorm(params);
  params.out = x.data();
  device_->RmsNorm(params);
  EXPECT_TRUE(SameBits(x, apart));
}

TEST_P(RmsNormTest, ARowOfZerosStaysZero) {
  const Tensor x(65, 0.0f);
  Tensor out(65, 7.0f);
  RmsNormParams params;
  params.x = x.data();
  params.x_stride = params.out_stride = params.cols = 65;
  params.eps = 1e-5f;
  params.rows = 1;
  params.out = out.data();
  device_->RmsNorm(params);
  EXPECT_TRUE(SameBits(out, x));
}

INSTANTIATE_KERNEL_TEST(RmsNormTest);

}  // namespace
}  // namespace ssmd::kernels
