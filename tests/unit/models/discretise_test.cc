#include "engine/models/mixers/discretise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace ssmd {
namespace {

using LongComplex = std::complex<long double>;

// (e^z − 1) / z by its series, in long double, for |z| up to 2 or so.
LongComplex MeanExponential(LongComplex z) {
  LongComplex sum = 0;
  LongComplex term = 1;
  for (int k = 1; k < 60; ++k) {
    sum += term;
    term *= z / static_cast<long double>(k + 1);
  }
  return sum;
}

TEST(Discretise, HoldingLosesNothingHoweverSmallTheStep) {
  for (const Complex lambda : {Complex(-0.5, 0), Complex(-0.5, 3), Complex(-1e-3, -2)}) {
    for (const double step : {1e-12, 1e-6, 1e-3, 0.5}) {
      const DiscreteMode mode = Discretise(Discretisation::kZoh, lambda, step);
      const LongComplex z = LongComplex(lambda) * static_cast<long double>(step);
      const LongComplex exact = MeanExponential(z) * static_cast<long double>(step);
      EXPECT_LT(std::abs(LongComplex(mode.input) - exact) / std::abs(exact), 1e-15L) << step;
      EXPECT_LT(std::abs(LongComplex(mode.decay) - (1.0L + z * MeanExponential(z))), 1e-15L);
    }
  }
}

TEST(Discretise, AModeOfZeroAddsUp) {
  for (const auto rule : {Discretisation::kZoh, Discretisation::kBilinear}) {
    const DiscreteMode mode = Discretise(rule, 0, 0.25);
    EXPECT_EQ(mode.decay, 1.0);
    EXPECT_EQ(mode.input, 0.25);
  }
}

// Both rules follow h' = λh + u for u = 1 from h = 0; the trapezoidal one to the second order.
TEST(Discretise, FollowsTheDifferentialEquation) {
  const Complex lambda(-0.7, 2);
  const Complex exact = (std::exp(lambda) - 1.0) / lambda;  // at time 1
  const auto error = [&](Discretisation rule, int steps) {
    const DiscreteMode mode = Discretise(rule, lambda, 1.0 / steps);
    Complex h = 0;
    for (int i = 0; i < steps; ++i) h = mode.decay * h + mode.input;
    return std::abs(h - exact);
  };
  EXPECT_LT(error(Discretisation::kZoh, 7), 1e-15);
  const double coarse = error(Discretisation::kBilinear, 10);
  EXPECT_NEAR(coarse / error(Discretisation::kBilinear, 20), 4, 0.1);
}

TEST(Discretise, ADecayingModeDecaysWhateverTheStep) {
  for (const auto rule : {Discretisation::kZoh, Discretisation::kBilinear}) {
    for (const double step : {1e-9, 1.0, 1e3, 1e9}) {
      EXPECT_LE(std::abs(Discretise(rule, {-1e-3, 50}, step).decay), 1) << step;
    }
  }
}

}  // namespace
}  // namespace ssmd
