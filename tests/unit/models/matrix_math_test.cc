// Matrix functions of load time against their series and products.
#include "engine/models/matrix_math.h"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>

namespace ssmd {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;

// e^A by its series, which needs many terms and a small norm.
TEST(MatrixMath, ExponentialIsItsSeries) {
  MatrixXd a(5, 5);
  for (Index i = 0; i < 5; ++i) {
    for (Index j = 0; j < 5; ++j) a(i, j) = std::sin(static_cast<double>(3 * i + 7 * j + 1));
  }
  for (const double scale : {0.01, 1.0, 2.0}) {
    MatrixXd series = MatrixXd::Identity(5, 5);
    MatrixXd term = series;
    for (int k = 1; k < 80; ++k) {
      term = term * a * (scale / k);
      series += term;
    }
    EXPECT_LT((Exponential(a * scale) - series).norm(), 1e-13 * series.norm()) << scale;
  }
  EXPECT_NEAR(Exponential(MatrixXd::Constant(1, 1, -300))(0, 0) / std::exp(-300.0), 1, 1e-11);
  EXPECT_TRUE(Exponential(MatrixXd::Constant(1, 1, INFINITY)).hasNaN());
}

TEST(MatrixMath, PowersAndRadius) {
  MatrixXd a(2, 2);
  a << 0.5, 0.25, -0.125, 0.75;
  MatrixXd product = MatrixXd::Identity(2, 2);
  for (int64_t n = 0; n < 12; ++n) {
    EXPECT_LT((Power(a, n) - product).norm(), 1e-15) << n;
    product *= a;
  }
  MatrixXd turn(2, 2);
  turn << 0, -0.9, 0.9, 0;
  EXPECT_NEAR(SpectralRadius(turn), 0.9, 1e-15);
}

}  // namespace
}  // namespace ssmd
