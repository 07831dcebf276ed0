#include <gtest/gtest.h>

#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {
namespace {

using GroupNormTest = KernelTest;

struct GroupNormCase {
  int64_t rows, cols, groups;
  bool weighted, biased, indexed;
};

Tensor RunGroupNorm(Device& device, const GroupNormCase& norm) {
  const int64_t stride = norm.cols + 5;
  const Tensor x = RandomTensor(2 * norm.rows * stride, 1, -3, 5);
  const Tensor weight = RandomTensor(norm.cols, 2);
  const Tensor bias = RandomTensor(norm.cols, 3);
  std::vector<int32_t> index;
  for (int64_t r = 0; r < norm.rows; ++r) index.push_back(static_cast<int32_t>(2 * r + 1));
  Tensor out(static_cast<size_t>(norm.rows * (norm.cols + 1)), 7.0f);
  GroupNormParams params;
  params.x = x.data();
  params.x_stride = stride;
  params.row_index = norm.indexed ? index.data() : nullptr;
  params.weight = norm.weighted ? weight.data() : nullptr;
  params.bias = norm.biased ? bias.data() : nullptr;
  params.eps = 1e-5f;
  params.rows = norm.rows;
  params.cols = norm.cols;
  params.groups = norm.groups;
  params.out = out.data();
  params.out_stride = norm.cols + 1;
  device.GroupNorm(params);
  return out;
}

TEST_P(GroupNormTest, AgreesWithTheReferenceAndBitwiseWithScalar) {
  int variant = 0;
  for (int64_t rows : {int64_t{1}, Few<int64_t>(70, 4)}) {
    for (int64_t cols : {1, 3, 15, 16, 17, 63, 65, 513, 768, 2561}) {
      for (int64_t groups : {1, 3}) {
        const GroupNormCase norm{
            rows, cols * groups, groups, variant % 3 != 0, variant % 4 != 0, variant % 2 != 0};
        SCOPED_TRACE(testing::Message() << rows << "x" << cols << ", groups: " << groups);
        ++variant;
        const Tensor out = RunGroupNorm(*device_, norm);
        EXPECT_LT(RelativeError(out, RunGroupNorm(*reference_, norm)), Bound(1e-6));
        EXPECT_TRUE(LikeScalar(out, RunGroupNorm(*scalar_, norm)));
      }
    }
  }
}

TEST_P(GroupNormTest, ThreadsDoNotShow) {
  const GroupNormCase norm{40, 4 * 70, 4, true, true, false};
  const Tensor expected = RunGroupNorm(*device_, norm);
  for (int threads : Some<int>({1, 2, 3, 4})) {
    EXPECT_TRUE(SameBits(RunGroupNorm(*Another(threads), norm), expected)) << threads;
  }
}

GroupNormParams PlainNorm(const Tensor& x, int64_t rows, int64_t cols, Tensor& out) {
  GroupNormParams params;
  params.x = x.data();
  params.x_stride = params.out_stride = params.cols = cols;
  params.eps = 1e-5f;
  params.rows = rows;
  params.out = out.data();
  return params;
}

TEST_P(GroupNormTest, WorksInPlace) {
  Tensor x = RandomTensor(3 * 100, 1);
  Tensor apart(x.size());
  GroupNormParams params = PlainNorm(x, 3, 100, apart);
  params.groups = 4;
  device_->GroupNorm(params);
  params.out = x.data();
  device_->GroupNorm(params);
  EXPECT_TRUE(SameBits(x, apart));
}

TEST_P(GroupNormTest, TakesTheRowsThatAreAskedFor) {
  const Tensor x = RandomTensor(5 * 65, 1);
  Tensor all(x.size());
  device_->GroupNorm(PlainNorm(x, 5, 65, all));
  const std::vector<int32_t> index = {4, 1, 1};
  Tensor some(3 * 65);
  GroupNormParams params = PlainNorm(x, 3, 65, some);
  params.row_index = index.data();
  device_->GroupNorm(params);
  for (size_t r = 0; r < index.size(); ++r) {
    const auto row = static_cast<size_t>(index[r]);
    EXPECT_TRUE(SameBits(Tensor(some.begin() + r * 65, some.begin() + (r + 1) * 65),
                         Tensor(all.begin() + row * 65, all.begin() + (row + 1) * 65)));
  }
}

// The squares of distances, not the difference of large sums: a mean far from zero costs nothing.
TEST_P(GroupNormTest, AFarMeanDoesNotShow) {
  Tensor x(48);
  Tensor near(48);
  for (size_t i = 0; i < x.size(); ++i) {
    near[i] = i % 2 == 0 ? 1 : -1;
    x[i] = 4096 + near[i];
  }
  Tensor out(48), expected(48);
  device_->GroupNorm(PlainNorm(x, 1, 48, out));
  device_->GroupNorm(PlainNorm(near, 1, 48, expected));
  EXPECT_TRUE(SameBits(out, expected));
}

TEST_P(GroupNormTest, EqualNumbersBecomeZero) {
  const Tensor x(65, 3.0f);
  Tensor out(65, 7.0f);
  device_->GroupNorm(PlainNorm(x, 1, 65, out));
  EXPECT_TRUE(SameBits(out, Tensor(65, 0.0f)));
}

INSTANTIATE_KERNEL_TEST(GroupNormTest);

}  // namespace
}  // namespace ssmd::kernels
