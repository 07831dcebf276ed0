// The exponential that the recurrence, the gates and sampling share.
#include <gtest/gtest.h>

#include "kernels/cpu/float_mode.h"
#include "kernels/cpu/isa.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {
namespace {

class ExpTest : public testing::TestWithParam<Isa> {
 protected:
  Tensor Exp(const Tensor& values) const {
    const cpu::ScopedFloatMode float_mode;
    Tensor out(values.size());
    cpu::KernelsFor(GetParam())
        .exponentials(values.data(), static_cast<int64_t>(values.size()), out.data());
    return out;
  }
};

TEST_P(ExpTest, IsWithinOneUlpAndUnbiased) {
  for (float low : {-0.0001f, -0.01f, -0.1f, -1.0f, -20.0f, -87.3f}) {
    const Tensor values = RandomTensor(1 << 17, 1, low, 0);
    const Tensor results = Exp(values);
    double worst = 0;
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const double exact = std::exp(double{values[i]});
      const double error = (results[i] - exact) / UlpOf(exact);
      worst = std::max(worst, std::abs(error));
      sum += error;
    }
    EXPECT_LT(worst, 1) << low;
    // The mean of that many uniform errors of half an ulp strays by 0.0008; what is left comes from
    // the rounding of ln 2's low part, which is one constant for all x of a binade.
    EXPECT_LT(std::abs(sum / static_cast<double>(values.size())), 0.02) << low;
  }
}

TEST_P(ExpTest, EndsOfTheRange) {
  const float infinity = INFINITY;
  const Tensor results =
      Exp({0.0f, -0.0f, -87.0f, -87.4f, -88.0f, -1000.0f, -infinity, NAN, -1e-30f, -3.4e38f});
  const Tensor expected = {1, 1, std::exp(-87.0f), 0, 0, 0, 0, NAN, 1, 0};
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::isnan(expected[i])) {
      EXPECT_TRUE(std::isnan(results[i]));
    } else {
      EXPECT_NEAR(results[i], expected[i], 1e-7 * expected[i]) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, ExpTest, testing::ValuesIn(SupportedIsas()),
                         [](const auto& param) { return std::string(IsaName(param.param)); });

}  // namespace
}  // namespace ssmd::kernels
