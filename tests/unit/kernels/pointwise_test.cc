// Activations and gates: close to libm in double precision wherever they are asked, and sound at
// the ends of the number range.
#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {
namespace {

using PointwiseTest = KernelTest;

constexpr PointwiseFunction kFunctions[] = {
    PointwiseFunction::kGelu,    PointwiseFunction::kSquaredRelu, PointwiseFunction::kTanh,
    PointwiseFunction::kSigmoid, PointwiseFunction::kGlu,         PointwiseFunction::kMultiply};

PointwiseParams ParamsOf(PointwiseFunction function, const Tensor& x, const Tensor& y,
                         Tensor& out) {
  PointwiseParams params;
  params.function = function;
  params.x = x.data();
  params.y = y.data();
  params.rows = 1;
  params.cols = static_cast<int64_t>(x.size());
  params.out = out.data();
  params.x_stride = params.y_stride = params.out_stride = params.cols;
  return params;
}

Tensor Apply(Device& device, PointwiseFunction function, const Tensor& x, const Tensor& y) {
  Tensor out(x.size());
  device.Pointwise(ParamsOf(function, x, y, out));
  return out;
}

// By libm, in double.
double Exact(PointwiseFunction function, double x, double y) {
  switch (function) {
    case PointwiseFunction::kGelu:
      return x * 0.5 * std::erfc(-x * std::sqrt(0.5));
    case PointwiseFunction::kSquaredRelu:
      return x > 0 ? x * x : 0;
    case PointwiseFunction::kTanh:
      return std::tanh(x);
    case PointwiseFunction::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case PointwiseFunction::kGlu:
      return x / (1 + std::exp(-y));
    case PointwiseFunction::kMultiply:
      return x * y;
  }
  return NAN;
}

// Dense where functions bend, and of all magnitudes.
Tensor Grid(int64_t points) {
  Tensor grid = RandomTensor(points, 1, -4, 4);
  for (const float value : RandomTensor(points, 2, -100, 100)) grid.push_back(value);
  for (const float exponent : RandomTensor(points, 3, -126, 13)) {
    grid.push_back(std::exp2(exponent));
    grid.push_back(-std::exp2(exponent));
  }
  return grid;
}

TEST_P(PointwiseTest, IsWithinTheStatedErrors) {
  const Tensor x = Grid(Few<int64_t>(1 << 16, 200));
  Tensor y(x.rbegin(), x.rend());
  for (const PointwiseFunction function : kFunctions) {
    const Tensor out = Apply(*device_, function, x, y);
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = Exact(function, x[i], y[i]);
      ASSERT_LE(std::abs(out[i] - exact), std::max(4 * UlpOf(exact), 1e-7))
          << static_cast<int>(function) << " of " << x[i] << ", " << y[i];
    }
  }
}

// They lose nothing near zero either, which a bound of 1e-7 would not see.
TEST_P(PointwiseTest, SigmoidAndTanhAreWithinUlps) {
  const Tensor x = Grid(Few<int64_t>(1 << 16, 200));
  const Tensor sigmoid = Apply(*device_, PointwiseFunction::kSigmoid, x, x);
  const Tensor tanh = Apply(*device_, PointwiseFunction::kTanh, x, x);
  double worst_sigmoid = 0;
  double worst_tanh = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double t = std::tanh(double{x[i]});
    worst_tanh = std::max(worst_tanh, std::abs(tanh[i] - t) / UlpOf(t));
    if (x[i] < -87) continue;  // below the normal numbers
    const double s = Exact(PointwiseFunction::kSigmoid, x[i], 0);
    worst_sigmoid = std::max(worst_sigmoid, std::abs(sigmoid[i] - s) / UlpOf(s));
  }
  EXPECT_LT(worst_sigmoid, 3);
  EXPECT_LT(worst_tanh, 4);
}

TEST_P(PointwiseTest, EndsOfTheRange) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float denormal = 1e-40f;
  const Tensor x = {infinity, -infinity, NAN, denormal, -denormal, 0.0f, 3.4e38f, -3.4e38f};
  const auto expect = [&](PointwiseFunction function, const Tensor& in, const Tensor& y,
                          const Tensor& expected) {
    const Tensor out = Apply(*device_, function, in, y);
    for (size_t i = 0; i < expected.size(); ++i) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(function) << " of " << in[i]);
      if (std::isnan(expected[i])) {
        EXPECT_TRUE(std::isnan(out[i])) << out[i];
      } else {
        EXPECT_EQ(out[i], expected[i]);
      }
    }
  };
  expect(PointwiseFunction::kGelu, x, x, {infinity, 0, NAN, 0, 0, 0, 3.4e38f, 0});
  expect(PointwiseFunction::kSquaredRelu, x, x, {infinity, 0, NAN, 0, 0, 0, infinity, 0});
  expect(PointwiseFunction::kTanh, x, x, {1, -1, NAN, 0, 0, 0, 1, -1});
  expect(PointwiseFunction::kSigmoid, x, x, {1, 0, NAN, 0.5f, 0.5f, 0.5f, 1, 0});
  const Tensor two(x.size(), 2.0f);
  expect(PointwiseFunction::kGlu, two, x, {2, 0, NAN, 1, 1, 1, 2, 0});
  expect(PointwiseFunction::kGlu, x, Tensor(x.size(), 0.0f),
         {infinity, -infinity, NAN, 0, 0, 0, 1.7e38f, -1.7e38f});
}

struct PointwiseCase {
  PointwiseFunction function;
  int64_t rows, cols;
  bool biased;
  bool adds;
};

Tensor RunPointwise(Device& device, const PointwiseCase& c) {
  const Tensor x = RandomTensor(c.rows * (c.cols + 1), 1, -5, 5);
  const Tensor y = RandomTensor(c.rows * (c.cols + 2), 2, -5, 5);
  const Tensor bias = RandomTensor(c.cols, 3);
  const Tensor add = RandomTensor(c.rows * (c.cols + 4), 4);
  Tensor out(static_cast<size_t>(c.rows * (c.cols + 3)), 7.0f);
  PointwiseParams params = ParamsOf(c.function, x, y, out);
  params.bias = c.biased ? bias.data() : nullptr;
  params.rows = c.rows;
  params.cols = c.cols;
  params.x_stride = c.cols + 1;
  params.y_stride = c.cols + 2;
  params.add = c.adds ? add.data() : nullptr;
  params.add_stride = c.cols + 4;
  params.out_stride = c.cols + 3;
  device.Pointwise(params);
  return out;
}

TEST_P(PointwiseTest, AgreesWithTheReferenceAndBitwiseWithScalar) {
  for (const PointwiseFunction function : kFunctions) {
    for (int64_t cols : Some<int64_t>({1, 15, 16, 17, 100, 1024, 1025, 3000})) {
      for (const bool plain : {false, true}) {
        SCOPED_TRACE(testing::Message() << static_cast<int>(function) << ", " << cols);
        const PointwiseCase c{function, 3, cols, !plain, !plain};
        const Tensor out = RunPointwise(*device_, c);
        EXPECT_LT(RelativeError(out, RunPointwise(*reference_, c)), Bound(1e-6));
        EXPECT_TRUE(LikeScalar(out, RunPointwise(*scalar_, c)));
      }
    }
  }
}

TEST_P(PointwiseTest, ThreadsDoNotShow) {
  const PointwiseCase c{PointwiseFunction::kGelu, 5, 2100, true, false};
  const Tensor expected = RunPointwise(*device_, c);
  for (int threads : Some<int>({1, 2, 3, 4})) {
    EXPECT_TRUE(SameBits(RunPointwise(*Another(threads), c), expected)) << threads;
  }
}

TEST_P(PointwiseTest, OutputMayReplaceEitherInput) {
  for (const PointwiseFunction function : kFunctions) {
    Tensor x = RandomTensor(100, 1);
    Tensor y = RandomTensor(100, 2);
    const Tensor x_before = x;
    const Tensor expected = Apply(*device_, function, x, y);
    device_->Pointwise(ParamsOf(function, x, y, x));
    EXPECT_TRUE(SameBits(x, expected));
    device_->Pointwise(ParamsOf(function, x_before, y, y));
    EXPECT_TRUE(SameBits(y, expected));
  }
}

TEST_P(PointwiseTest, AddsToAResidualInPlace) {
  for (const PointwiseFunction function : kFunctions) {
    const Tensor x = RandomTensor(100, 1);
    const Tensor y = RandomTensor(100, 2);
    const Tensor before = RandomTensor(100, 3);
    const Tensor alone = Apply(*device_, function, x, y);
    Tensor residual = before;
    PointwiseParams params = ParamsOf(function, x, y, residual);
    params.add = residual.data();
    params.add_stride = params.cols;
    device_->Pointwise(params);
    for (size_t i = 0; i < residual.size(); ++i) {
      EXPECT_NEAR(residual[i], before[i] + alone[i], 1e-6) << i;
    }
  }
}

TEST_P(PointwiseTest, OneRowOfFactorsServesAll) {
  const Tensor x = RandomTensor(3 * 100, 1);
  const Tensor y = RandomTensor(100, 2);
  Tensor out(x.size());
  PointwiseParams params = ParamsOf(PointwiseFunction::kMultiply, x, y, out);
  params.rows = 3;
  params.cols = params.x_stride = params.out_stride = 100;
  params.y_stride = 0;
  device_->Pointwise(params);
  for (size_t i = 0; i < x.size(); ++i) EXPECT_FLOAT_EQ(out[i], x[i] * y[i % 100]) << i;
}

INSTANTIATE_KERNEL_TEST(PointwiseTest);

}  // namespace
}  // namespace ssmd::kernels
