// The plain gated norm gives the CPU's bits.
#include <gtest/gtest.h>

#include <utility>

#include "kernels/cuda/plain_ops.h"
#include "tests/unit/cuda/norm_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

class PlainGatedNorm : public CudaTest {
 protected:
  const Op<GatedRmsNormParams> cuda_ = Cuda(plain::GatedRmsNorm);
  const Op<GatedRmsNormParams> cpu_ = Cpu(&Device::GatedRmsNorm);
};

TEST_F(PlainGatedNorm, GivesTheBitsOfTheCpu) {
  const std::pair<int64_t, int64_t> kWidths[] = {{1, 1},    {3, 1},   {15, 3},  {17, 1},  {64, 8},
                                                 {130, 10}, {768, 1}, {520, 8}, {2561, 1}};
  for (const GateOrder order : kGateOrders) {
    for (int64_t rows : {1, 4}) {
      for (const auto& [cols, groups] : kWidths) {
        const GatedNormCase norm{rows, cols, groups, order, (rows + cols) % 3 != 0};
        EXPECT_TRUE(SameBits(RunGatedNorm(cuda_, norm), RunGatedNorm(cpu_, norm)))
            << rows << "x" << cols << " in " << groups;
      }
    }
  }
}

TEST_F(PlainGatedNorm, WorksInPlace) {
  for (const GateOrder order : kGateOrders) {
    const GatedNormCase apart{3, 100, 4, order, true};
    GatedNormCase in_place = apart;
    in_place.in_place = true;
    EXPECT_TRUE(SameBits(RunGatedNorm(cuda_, in_place), RunGatedNorm(cpu_, apart)));
  }
}

}  // namespace
}  // namespace ssmd::kernels::cuda
