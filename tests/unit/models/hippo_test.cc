// Bases of functions, their quadrature, and the systems of HiPPO and their steps, against what they
// stand for.
#include "engine/models/hippo.h"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/models/matrix_math.h"

namespace ssmd {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

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

LinearSystem LegtStep(int64_t size, int64_t window) {
  return HoldInput(LegtSystem(size), 1 / static_cast<double>(window));
}

// Feeds a smooth signal to LegT of a window that was thought to be `assumed` samples, and reads the
// last `window` of them back from the state: the largest error over the largest value.
double ReconstructionError(int64_t size, int64_t window, int64_t assumed) {
  const LinearSystem step = LegtStep(size, assumed);
  const auto signal = [&](int64_t t) {
    const double phase = static_cast<double>(t) / static_cast<double>(window);
    return std::sin(5 * phase) + 0.5 * std::cos(11 * phase + 1);
  };
  const int64_t samples = 4 * window;
  VectorXd h = VectorXd::Zero(size);
  for (int64_t t = 0; t < samples; ++t) h = (step.a * h + step.b * signal(t)).eval();
  double error = 0;
  double largest = 0;
  for (int64_t age = window / 10; age < window * 9 / 10; ++age) {
    // The middle of a sample that was held for a step.
    const double x = 1 - (static_cast<double>(age) + 0.5) / static_cast<double>(window);
    double read = 0;
    for (Index i = 0; i < size; ++i) {
      read += h[i] * std::sqrt(2 * static_cast<double>(i) + 1) *
              std::legendre(static_cast<unsigned>(i), 2 * x - 1);
    }
    error = std::max(error, std::abs(read - signal(samples - 1 - age)));
    largest = std::max(largest, std::abs(signal(samples - 1 - age)));
  }
  return error / largest;
}

TEST(Hippo, LegtRemembersItsWindow) {
  EXPECT_LT(ReconstructionError(32, 1000, 1000), 1e-3);
  // With steps of 1/window in place of 2/window, which is a window twice as long.
  EXPECT_GT(ReconstructionError(32, 1000, 2000), 0.5);
}

TEST(Hippo, LegtDecaysAtEverySize) {
  for (const int64_t size : {1, 2, 7, 32, 64, 256}) {
    for (const int64_t window : {1, 1000, 1 << 20}) {
      EXPECT_LT(SpectralRadius(LegtStep(size, window).a), 1) << size << ", " << window;
    }
  }
}

// LegT's step, as HiPPO's own code has it (halved), by the series of e^{AΔ} and of A⁻¹ (e^{AΔ} − 1)
// B.
TEST(Hippo, LegtStepIsHeldThroughTheSample) {
  const Index size = 6;
  const int64_t window = 40;
  MatrixXd a(size, size);
  VectorXd b(size);
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
  const LinearSystem legt = LegtStep(size, window);
  EXPECT_LT((legt.b - integral * b).cwiseAbs().maxCoeff(), 1e-14);
  EXPECT_LT((legt.a - decay).cwiseAbs().maxCoeff(), 1e-13);
}

TEST(Hippo, QuadratureIntegratesProductsOfThePolynomials) {
  for (const int64_t size : {1, 2, 5, 64, 256}) {
    const GaussLegendre rule(size);
    MatrixXd products = MatrixXd::Zero(size, size);
    for (size_t j = 0; j < rule.nodes.size(); ++j) {
      const std::vector<double> values = NormalisedLegendre(rule.nodes[j], size);
      const Eigen::Map<const VectorXd> p(values.data(), size);
      products += rule.weights[j] * p * p.transpose();
      EXPECT_GT(rule.nodes[j], j == 0 ? 0 : rule.nodes[j - 1]);
      EXPECT_LT(rule.nodes[j], 1);
      for (int64_t degree = 0; degree < std::min<int64_t>(size, 6); ++degree) {
        EXPECT_NEAR(p[degree], ShiftedLegendre(degree, rule.nodes[j]), 1e-12);
      }
    }
    EXPECT_LT((products - MatrixXd::Identity(size, size)).cwiseAbs().maxCoeff(), 1e-11) << size;
  }
}

TEST(Hippo, BasesAreOrthonormal) {
  const GaussLegendre rule(64);
  for (const auto& functions : {NormalisedLegendre, FourierFunctions}) {
    MatrixXd products = MatrixXd::Zero(15, 15);
    for (size_t j = 0; j < rule.nodes.size(); ++j) {
      const std::vector<double> values = functions(rule.nodes[j], 15);
      const Eigen::Map<const VectorXd> p(values.data(), 15);
      products += rule.weights[j] * p * p.transpose();
    }
    EXPECT_LT((products - MatrixXd::Identity(15, 15)).cwiseAbs().maxCoeff(), 1e-12);
  }
}

// By the classical method of Runge and Kutta, in many small steps.
TEST(Hippo, HeldInputsAreThoseOfTheDifferentialEquation) {
  for (const LinearSystem& system : {LegtSystem(5), FourierSystem(5)}) {
    const LinearSystem step = HoldInput(system, 0.3);
    const VectorXd start{{0.3, -1, 0.2, 0.7, 0.1}};
    constexpr double kInput = 0.8;
    constexpr int kSteps = 4000;
    const double h = 0.3 / kSteps;
    const auto slope = [&](const VectorXd& x) -> VectorXd {
      return system.a * x + system.b * kInput;
    };
    VectorXd x = start;
    for (int i = 0; i < kSteps; ++i) {
      const VectorXd k1 = slope(x);
      const VectorXd k2 = slope(x + h / 2 * k1);
      const VectorXd k3 = slope(x + h / 2 * k2);
      const VectorXd k4 = slope(x + h * k3);
      x += h / 6 * (k1 + 2 * k2 + 2 * k3 + k4);
    }
    EXPECT_LT((step.a * start + step.b * kInput - x).cwiseAbs().maxCoeff(), 1e-11);
  }
}

}  // namespace
}  // namespace ssmd
