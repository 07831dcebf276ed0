#include "engine/models/hippo.h"

#include <cmath>
#include <numbers>
#include <utility>

#include "engine/base/check.h"
#include "engine/models/matrix_math.h"

namespace ssmd {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// Value and derivative of the n-th Legendre polynomial at z in (−1, 1).
std::pair<double, double> LegendreWithSlope(double z, int64_t n) {
  double before = 0;
  double now = 1;
  for (int64_t k = 0; k < n; ++k) {
    const auto degree = static_cast<double>(k);
    const double next = ((2 * degree + 1) * z * now - degree * before) / (degree + 1);
    before = std::exchange(now, next);
  }
  return {now, static_cast<double>(n) * (z * now - before) / (z * z - 1)};
}

double Root(int64_t degree) { return std::sqrt(static_cast<double>(2 * degree + 1)); }

}  // namespace

GaussLegendre::GaussLegendre(int64_t n)
    : nodes(static_cast<size_t>(n)), weights(static_cast<size_t>(n)) {
  for (int64_t i = 0; i < n; ++i) {
    // Newton's method from Tricomi's estimate of the roots, largest first.
    double z = std::cos(std::numbers::pi * (static_cast<double>(i) + 0.75) /
                        (static_cast<double>(n) + 0.5));
    for (int step = 0; step < 8; ++step) {
      const auto [value, slope] = LegendreWithSlope(z, n);
      z -= value / slope;
    }
    const double slope = LegendreWithSlope(z, n).second;
    const auto place = static_cast<size_t>(n - 1 - i);
    nodes[place] = (z + 1) / 2;
    weights[place] = 1 / ((1 - z * z) * slope * slope);
  }
}

std::vector<double> LegendrePolynomials(double x, int64_t n) {
  std::vector<double> values(static_cast<size_t>(n));
  double before = 0;
  double now = 1;
  for (int64_t k = 0; k < n; ++k) {
    values[static_cast<size_t>(k)] = now;
    const auto degree = static_cast<double>(k);
    const double next = ((2 * degree + 1) * (2 * x - 1) * now - degree * before) / (degree + 1);
    before = std::exchange(now, next);
  }
  return values;
}

std::vector<double> NormalisedLegendre(double x, int64_t n) {
  std::vector<double> values = LegendrePolynomials(x, n);
  for (int64_t k = 0; k < n; ++k) values[static_cast<size_t>(k)] *= Root(k);
  return values;
}

std::vector<double> FourierFunctions(double x, int64_t n) {
  std::vector<double> values(static_cast<size_t>(n), 1.0);
  for (int64_t k = 1; k < n; ++k) {
    const int64_t waves = (k + 1) / 2;
    const double angle = 2 * std::numbers::pi * static_cast<double>(waves) * x;
    values[static_cast<size_t>(k)] =
        std::numbers::sqrt2 * (k % 2 == 1 ? std::cos(angle) : std::sin(angle));
  }
  return values;
}

LinearSystem LegtSystem(int64_t n) {
  LinearSystem system{MatrixXd(n, n), VectorXd(n)};
  for (Index row = 0; row < n; ++row) {
    for (Index column = 0; column < n; ++column) {
      const double sign = column > row && (column - row) % 2 == 1 ? 1 : -1;
      system.a(row, column) = sign * Root(row) * Root(column);
    }
    system.b[row] = Root(row);
  }
  return system;
}

// With p_n the functions of the age s in [0, 1]: ċ_n = p_n(0) u(t) − p_n(1) u(t − 1) + ∫ p_n'(s) u,
// where u(t − 1) is taken to be 2 Σ c_k p_k(0) − u(t), since a periodic function's value at a jump
// is the mean of both sides.
LinearSystem FourierSystem(int64_t n) {
  Check(n % 2 == 1, "FourierSystem: n is even");
  const std::vector<double> functions = FourierFunctions(0, n);
  const Eigen::Map<const VectorXd> now(functions.data(), n);
  LinearSystem system{-2 * now * now.transpose(), 2 * now};
  for (Index sine = 2; sine < n; sine += 2) {
    const double rate = std::numbers::pi * static_cast<double>(sine);
    system.a(sine - 1, sine) -= rate;
    system.a(sine, sine - 1) += rate;
  }
  return system;
}

// [a b; 0 0] · time has the exponential [a' b'; 0 1] (Van Loan 1978): u is a state that does not
// change.
LinearSystem HoldInput(const LinearSystem& system, double time) {
  const Index n = system.a.rows();
  MatrixXd whole = MatrixXd::Zero(n + 1, n + 1);
  whole.topLeftCorner(n, n) = system.a * time;
  whole.topRightCorner(n, 1) = system.b * time;
  whole = Exponential(whole);
  return {whole.topLeftCorner(n, n), whole.topRightCorner(n, 1)};
}

}  // namespace ssmd
