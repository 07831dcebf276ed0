#include <gtest/gtest.h>

#include <utility>

#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {
namespace {

using GatedRmsNormTest = KernelTest;

constexpr GateOrder kOrders[] = {GateOrder::kGateFirst, GateOrder::kNormFirst,
                                 GateOrder::kGateOnly};

struct GatedNorm {
  int64_t rows, cols, groups;
  GateOrder order;
  bool weighted;
};

Tensor RunGatedNorm(Device& device, const GatedNorm& norm) {
  const Tensor x = RandomTensor(norm.rows * (norm.cols + 5), 1, -3, 5);
  const Tensor gate = RandomTensor(norm.rows * (norm.cols + 3), 2, -4, 4);
  const Tensor weight = RandomTensor(norm.cols, 3);
  Tensor out(static_cast<size_t>(norm.rows * (norm.cols + 1)), 7.0f);
  GatedRmsNormParams params;
  params.x = x.data();
  params.x_stride = norm.cols + 5;
  params.gate = gate.data();
  params.gate_stride = norm.cols + 3;
  params.weight = norm.weighted ? weight.data() : nullptr;
  params.order = norm.order;
  params.eps = 1e-5f;
  params.rows = norm.rows;
  params.cols = norm.cols;
  params.groups = norm.groups;
  params.out = out.data();
  params.out_stride = norm.cols + 1;
  device.GatedRmsNorm(params);
  return out;
}

TEST_P(GatedRmsNormTest, AgreesWithTheReferenceAndBitwiseWithScalar) {
  const std::pair<int64_t, int64_t> kWidths[] = {{1, 1},    {3, 1},   {15, 3},   {17, 1},
                                                 {64, 8},   {66, 2},  {130, 10}, {768, 1},
                                                 {1536, 8}, {520, 8}, {2561, 1}};
  for (const GateOrder order : kOrders) {
    for (int64_t rows : {int64_t{1}, int64_t{3}, Few<int64_t>(40, 4)}) {
      for (const auto& [cols, groups] : kWidths) {
        const GatedNorm norm{rows, cols, groups, order, (rows + cols) % 3 != 0};
        const Tensor out = RunGatedNorm(*device_, norm);
        EXPECT_LT(RelativeError(out, RunGatedNorm(*reference_, norm)), Bound(1e-6))
            << rows << "x" << cols << " in " << groups;
        EXPECT_TRUE(LikeScalar(out, RunGatedNorm(*scalar_, norm))) << rows << "x" << cols;
      }
    }
  }
}

TEST_P(GatedRmsNormTest, EachOrderAndGroupingIsAnotherFunction) {
  const Tensor first = RunGatedNorm(*device_, {2, 64, 1, GateOrder::kGateFirst, true});
  const Tensor after = RunGatedNorm(*device_, {2, 64, 1, GateOrder::kNormFirst, true});
  const Tensor only = RunGatedNorm(*device_, {2, 64, 1, GateOrder::kGateOnly, true});
  const Tensor grouped = RunGatedNorm(*device_, {2, 64, 4, GateOrder::kGateFirst, true});
  EXPECT_GT(RelativeError(first, after), 0.01);
  EXPECT_GT(RelativeError(first, only), 0.01);
  EXPECT_GT(RelativeError(first, grouped), 0.01);
}

TEST_P(GatedRmsNormTest, WorksInPlace) {
  const Tensor gate = RandomTensor(3 * 100, 2);
  for (const GateOrder order : kOrders) {
    Tensor x = RandomTensor(3 * 100, 1);
    Tensor apart(x.size());
    GatedRmsNormParams params;
    params.x = x.data();
    params.gate = gate.data();
    params.x_stride = params.gate_stride = params.out_stride = params.cols = 100;
    params.groups = 4;
    params.order = order;
    params.eps = 1e-6f;
    params.rows = 3;
    params.out = apart.data();
    device_->GatedRmsNorm(params);
    params.out = x.data();
    device_->GatedRmsNorm(params);
    EXPECT_TRUE(SameBits(x, apart));
  }
}

TEST_P(GatedRmsNormTest, ThreadsDoNotShow) {
  const GatedNorm norm{60, 520, 8, GateOrder::kGateFirst, true};
  const Tensor expected = RunGatedNorm(*device_, norm);
  for (int threads : Some<int>({1, 2, 3, 4})) {
    const auto device = Another(threads);
    EXPECT_TRUE(SameBits(RunGatedNorm(*device, norm), expected)) << threads;
  }
}

TEST_P(GatedRmsNormTest, ClosedAndOpenGatesAreSound) {
  for (float value : {-1e30f, -200.0f, 0.0f, 200.0f}) {
    const Tensor x = RandomTensor(65, 1);
    const Tensor gate(65, value);
    Tensor out(65, 7.0f);
    GatedRmsNormParams params;
    params.x = x.data();
    params.gate = gate.data();
    params.x_stride = params.gate_stride = params.out_stride = params.cols = 65;
    params.eps = 1e-5f;
    params.rows = 1;
    params.out = out.data();
    device_->GatedRmsNorm(params);
    for (float y : out) EXPECT_TRUE(std::isfinite(y)) << value;
    if (value <= 0) {
      for (float y : out) EXPECT_EQ(y, 0) << value;
    }
  }
}

INSTANTIATE_KERNEL_TEST(GatedRmsNormTest);

}  // namespace
}  // namespace ssmd::kernels
