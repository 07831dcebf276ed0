#include "engine/models/hippo.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace ssmd {
namespace {

// The series is taken of a matrix whose norm is at most this.
constexpr double kTaylorNorm = 0.25;
constexpr int kTaylorTerms = 18;  // 0.25¹⁸ / 18! is 2e-27

double MaxRowSum(const SquareMatrix& m) {
  double most = 0;
  for (int64_t row = 0; row < m.size; ++row) {
    double sum = 0;
    for (int64_t column = 0; column < m.size; ++column) sum += std::abs(m.at(row, column));
    most = std::max(most, sum);
  }
  return most;
}

SquareMatrix Product(const SquareMatrix& x, const SquareMatrix& y) {
  SquareMatrix product(x.size);
  for (int64_t row = 0; row < x.size; ++row) {
    for (int64_t k = 0; k < x.size; ++k) {
      const double factor = x.at(row, k);
      for (int64_t column = 0; column < x.size; ++column) {
        product.at(row, column) += factor * y.at(k, column);
      }
    }
  }
  return product;
}

void AddIdentity(SquareMatrix* m) {
  for (int64_t i = 0; i < m->size; ++i) m->at(i, i) += 1;
}

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
    const double angle = 2 * std::numbers::pi * static_cast<double>((k + 1) / 2) * x;
    values[static_cast<size_t>(k)] =
        std::numbers::sqrt2 * (k % 2 == 1 ? std::cos(angle) : std::sin(angle));
  }
  return values;
}

LinearSystem LegtSystem(int64_t n) {
  LinearSystem system{SquareMatrix(n), std::vector<double>(static_cast<size_t>(n))};
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t column = 0; column < n; ++column) {
      const double sign = column > row && (column - row) % 2 == 1 ? 1 : -1;
      system.a.at(row, column) = sign * Root(row) * Root(column);
    }
    system.b[static_cast<size_t>(row)] = Root(row);
  }
  return system;
}

// With p_n the functions of the age s in [0, 1]: ċ_n = p_n(0) u(t) − p_n(1) u(t − 1) + ∫ p_n'(s) u,
// where u(t − 1) is taken to be 2 Σ c_k p_k(0) − u(t), since a periodic function's value at a jump
// is the mean of both sides.
LinearSystem FourierSystem(int64_t n) {
  LinearSystem system{SquareMatrix(n), FourierFunctions(0, n)};
  const std::vector<double> at_now = system.b;
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t column = 0; column < n; ++column) {
      system.a.at(row, column) =
          -2 * at_now[static_cast<size_t>(row)] * at_now[static_cast<size_t>(column)];
    }
    system.b[static_cast<size_t>(row)] *= 2;
  }
  for (int64_t sine = 2; sine < n; sine += 2) {
    const double rate = std::numbers::pi * static_cast<double>(sine);
    system.a.at(sine - 1, sine) -= rate;
    system.a.at(sine, sine - 1) += rate;
  }
  return system;
}

SquareMatrix MatrixExponential(const SquareMatrix& m) {
  const double norm = MaxRowSum(m);
  int squarings = 0;
  double scale = 1;
  while (norm * scale > kTaylorNorm) {
    scale /= 2;
    ++squarings;
  }
  SquareMatrix scaled = m;
  for (double& value : scaled.values) value *= scale;
  SquareMatrix power(m.size);  // Horner: e^s = 1 + s (1 + s/2 (1 + s/3 (…)))
  for (int term = kTaylorTerms; term >= 1; --term) {
    AddIdentity(&power);
    power = Product(scaled, power);
    for (double& value : power.values) value /= term;
  }
  AddIdentity(&power);
  for (int i = 0; i < squarings; ++i) power = Product(power, power);
  return power;
}

// The exponential of [[a, b], [0, 0]] holds both: u is a state that does not change.
LinearSystem HoldInput(const LinearSystem& system, double time) {
  const int64_t n = system.a.size;
  SquareMatrix whole(n + 1);
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t column = 0; column < n; ++column) {
      whole.at(row, column) = system.a.at(row, column) * time;
    }
    whole.at(row, n) = system.b[static_cast<size_t>(row)] * time;
  }
  whole = MatrixExponential(whole);
  LinearSystem step{SquareMatrix(n), std::vector<double>(static_cast<size_t>(n))};
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t column = 0; column < n; ++column) {
      step.a.at(row, column) = whole.at(row, column);
    }
    step.b[static_cast<size_t>(row)] = whole.at(row, n);
  }
  return step;
}

}  // namespace ssmd
