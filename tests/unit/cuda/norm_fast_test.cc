// The fast norms: close to their plain twins, and the same bits whatever the other rows are.
#include <gtest/gtest.h>

#include <utility>

#include "kernels/cuda/fast_ops.h"
#include "kernels/cuda/plain_ops.h"
#include "tests/unit/cuda/norm_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

constexpr double kNormTolerance = 1e-6;

class FastNorm : public CudaTest {
 protected:
  const Op<RmsNormParams> fast_ = Cuda(fast::RmsNorm);
  const Op<RmsNormParams> plain_ = Cuda(plain::RmsNorm);
  const Op<GatedRmsNormParams> fast_gated_ = Cuda(fast::GatedRmsNorm);
  const Op<GatedRmsNormParams> plain_gated_ = Cuda(plain::GatedRmsNorm);
};

TEST_F(FastNorm, IsCloseToThePlainOne) {
  bool differs = false;
  for (int64_t cols : {4, 768, 1028, 2560, 4100, 8192}) {
    for (const bool weighted : {false, true}) {
      const NormCase norm{3, cols, weighted, weighted, 4};
      const Tensor fast = RunNorm(fast_, norm);
      const Tensor plain = RunNorm(plain_, norm);
      EXPECT_LT(RelativeError(fast, plain), kNormTolerance) << cols;
      differs = differs || !SameBits(fast, plain);
    }
  }
  EXPECT_TRUE(differs) << "it was the plain one";
}

TEST_F(FastNorm, WhatItIsNotMadeForIsThePlainOne) {
  for (const NormCase& norm :
       {NormCase{3, 65, true, true, 4}, {3, 768, true, false, 1}, {2, 8196, true, false, 4}}) {
    EXPECT_TRUE(SameBits(RunNorm(fast_, norm), RunNorm(plain_, norm))) << norm.cols;
  }
}

TEST_F(FastNorm, NeighboursDoNotShow) {
  const NormCase many{5, 768, true, false, 4};
  const NormCase one{1, 768, true, false, 4};
  EXPECT_TRUE(SameBits(RowsOf(RunNorm(fast_, many), many.out_stride(), 0, 1), RunNorm(fast_, one)));
}

TEST_F(FastNorm, WithAGateIsCloseToThePlainOne) {
  const std::pair<int64_t, int64_t> kWidths[] = {{4, 1},    {64, 8},   {768, 1},
                                                 {2560, 1}, {8192, 8}, {5120, 1}};
  for (const GateOrder order : kGateOrders) {
    for (const auto& [cols, groups] : kWidths) {
      for (const bool in_place : {false, true}) {
        const GatedNormCase norm{3, cols, groups, order, cols != 768, in_place, 4};
        EXPECT_LT(RelativeError(RunGatedNorm(fast_gated_, norm), RunGatedNorm(plain_gated_, norm)),
                  kNormTolerance)
            << cols << " in " << groups;
      }
    }
  }
}

TEST_F(FastNorm, WithAGateNeighboursDoNotShow) {
  const GatedNormCase many{5, 768, 2, GateOrder::kGateFirst, true, false, 4};
  GatedNormCase one = many;
  one.rows = 1;
  EXPECT_TRUE(SameBits(RowsOf(RunGatedNorm(fast_gated_, many), many.out_stride(), 0, 1),
                       RunGatedNorm(fast_gated_, one)));
}

}  // namespace
}  // namespace ssmd::kernels::cuda
