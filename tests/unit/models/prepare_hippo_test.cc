// The matrices of HiPPO-LegT and the quadrature of LegS against what they stand for.
#include "engine/models/mixers/prepare_hippo.h"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>
#include <vector>

#include "engine/models/mixers/matrix_math.h"

namespace ssmd {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;

// √(2n+1) P_n(2x − 1), by the explicit sum over binomials: exact enough for small n.
double ShiftedLegendre(int64_t n, double x) {
  double sum = 0;
  double term = n % 2 == 0 ? 1 : -1;  // (−1)^(n+k) C(n,k) C(n+k,k) x^k
  for (int64_t k = 0; k <= n; ++k) {
    sum += term;
    const auto i = static_cast<double>(k);
    const auto degree = static_cast<double>(n);
    term *= -x * (degree - i) * (degree + i + 1) / ((i + 1) * (i + 1));
  }
  return std::sqrt(2 * static_cast<double>(n) + 1) * sum;
}

// Feeds a smooth signal to LegT of a window that was thought to be `assumed` samples, and reads the
// last `window` of them back from the state: the largest error over the largest value.
double ReconstructionError(int64_t size, int64_t window, int64_t assumed) {
  const LegtStep legt = DiscretiseLegt(size, assumed);
  const auto n = static_cast<size_t>(size);
  const auto signal = [&](int64_t t) {
    const double phase = static_cast<double>(t) / static_cast<double>(window);
    return std::sin(5 * phase) + 0.5 * std::cos(11 * phase + 1);
  };
  const int64_t samples = 4 * window;
  std::vector<double> h(n);
  for (int64_t t = 0; t < samples; ++t) {
    std::vector<double> next(n);
    for (size_t i = 0; i < n; ++i) {
      next[i] = legt.b[i] * signal(t);
      for (size_t k = 0; k < n; ++k) next[i] += legt.a[i * n + k] * h[k];
    }
    h = next;
  }
  double error = 0;
  double largest = 0;
  for (int64_t age = window / 10; age < window * 9 / 10; ++age) {
    // The middle of a sample that was held for a step.
    const double x = 1 - (static_cast<double>(age) + 0.5) / static_cast<double>(window);
    double read = 0;
    for (size_t i = 0; i < n; ++i) {
      read += h[i] * std::sqrt(2 * static_cast<double>(i) + 1) *
              std::legendre(static_cast<unsigned>(i), 2 * x - 1);
    }
    error = std::max(error, std::abs(read - signal(samples - 1 - age)));
    largest = std::max(largest, std::abs(signal(samples - 1 - age)));
  }
  return error / largest;
}

TEST(PrepareHippo, LegtRemembersItsWindow) {
  EXPECT_LT(ReconstructionError(32, 1000, 1000), 1e-3);
  // With steps of 1/window in place of 2/window, which is a window twice as long.
  EXPECT_GT(ReconstructionError(32, 1000, 2000), 0.5);
}

TEST(PrepareHippo, LegtDecaysAtEverySize) {
  for (const int64_t size : {1, 2, 7, 32, 64, 256}) {
    for (const int64_t window : {1, 1000, 1 << 20}) {
      EXPECT_LT(DiscretiseLegt(size, window).spectral_radius, 1) << size << ", " << window;
    }
  }
}

// e^A by its series, which needs many terms and a small norm.
TEST(PrepareHippo, ExponentialIsItsSeries) {
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

// LegT's own step by the series of e^{AΔ} and of A⁻¹ (e^{AΔ} − 1) B.
TEST(PrepareHippo, LegtStepIsHeldThroughTheSample) {
  const Index size = 6;
  const int64_t window = 40;
  MatrixXd a(size, size);
  Eigen::VectorXd b(size);
  for (Index n = 0; n < size; ++n) {
    b[n] = 0.5 * std::sqrt(2.0 * n + 1);
    for (Index k = 0; k < size; ++k) {
      const double sign = n < k && (n + k) % 2 == 1 ? -1 : 1;
      a(n, k) = -0.5 * std::sqrt((2.0 * n + 1) * (2.0 * k + 1)) * sign;
    }
  }
  const double step = 2.0 / static_cast<double>(window);
  MatrixXd decay = MatrixXd::Identity(size, size);
  MatrixXd integral = decay * step;
  MatrixXd term = decay;
  for (int k = 1; k < 40; ++k) {
    term = term * a * (step / k);
    decay += term;
    integral += term * (step / (k + 1));
  }
  const LegtStep legt = DiscretiseLegt(size, window);
  const Eigen::VectorXd input = integral * b;
  for (Index n = 0; n < size; ++n) {
    EXPECT_NEAR(legt.b[static_cast<size_t>(n)], input[n], 1e-14);
    for (Index k = 0; k < size; ++k) {
      EXPECT_NEAR(legt.a[static_cast<size_t>(n * size + k)], decay(n, k), 1e-13);
    }
  }
}

TEST(PrepareHippo, LegendreRuleIntegratesProductsOfItsPolynomials) {
  for (const int64_t size : {1, 2, 5, 64, 256}) {
    const LegendreRule rule = MakeLegendreRule(size);
    const auto n = static_cast<size_t>(size);
    const Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>
        values(rule.values.data(), size, size);
    const Eigen::Map<const Eigen::VectorXd> weights(rule.weights.data(), size);
    const MatrixXd products = values.transpose() * weights.asDiagonal() * values;
    EXPECT_LT((products - MatrixXd::Identity(size, size)).cwiseAbs().maxCoeff(), 1e-11) << size;
    for (size_t j = 0; j < n; ++j) {
      EXPECT_GT(rule.nodes[j], j == 0 ? 0 : rule.nodes[j - 1]);
      EXPECT_LT(rule.nodes[j], 1);
      for (int64_t degree = 0; degree < std::min<int64_t>(size, 6); ++degree) {
        EXPECT_NEAR(rule.values[j * n + static_cast<size_t>(degree)],
                    ShiftedLegendre(degree, rule.nodes[j]), 1e-12);
      }
    }
  }
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

// A chunk of 5 tokens of 18 channels, by its operators and by steps.
TEST(DenseChunk, GoesWhereStepsGo) {
  constexpr size_t kSize = 3, kTokens = 5, kChannels = 18, kLanes = 16;
  const std::vector<float> a = {0.5f, -0.25f, 0, 0.125f, 0.75f, 0.5f, -0.5f, 0, 0.25f};
  const std::vector<float> b = {1, -0.5f, 0.25f};
  const std::vector<double> u = {1, -2, 0.5, 3, -1};
  std::vector<float> output;
  for (size_t i = 0; i < kChannels * kSize; ++i) output.push_back(0.1f * static_cast<float>(i % 7));
  const DenseChunk chunk = MakeDenseChunk(a, b, output, kTokens);
  const std::vector<double> before = {0.5, -1, 2};
  std::vector<double> h = before;
  for (size_t t = 0; t < kTokens; ++t) {
    std::vector<double> next(kSize);
    for (size_t n = 0; n < kSize; ++n) {
      next[n] = b[n] * u[t];
      for (size_t m = 0; m < kSize; ++m) next[n] += a[n * kSize + m] * h[m];
    }
    h = next;
    for (size_t c = 0; c < kChannels; ++c) {
      double stepped = 0;
      double read = 0;
      const size_t block = c / kLanes * kTokens;
      for (size_t n = 0; n < kSize; ++n) {
        stepped += output[c * kSize + n] * h[n];
        read += chunk.readout[((block + t) * kSize + n) * kLanes + c % kLanes] * before[n];
      }
      for (size_t j = 0; j <= t; ++j) {
        read += chunk.taps[(block + t - j) * kLanes + c % kLanes] * u[j];
      }
      EXPECT_NEAR(read, stepped, 1e-6);
    }
  }
  for (size_t n = 0; n < kSize; ++n) {
    double reached = 0;
    const float* step = &chunk.step[n * (kSize + kTokens)];
    for (size_t m = 0; m < kSize; ++m) reached += step[m] * before[m];
    for (size_t j = 0; j < kTokens; ++j) reached += step[kSize + j] * u[j];
    EXPECT_NEAR(reached, h[n], 1e-6);
  }
}

}  // namespace
}  // namespace ssmd
