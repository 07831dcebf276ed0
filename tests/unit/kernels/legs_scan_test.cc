// HiPPO-LegS in both steps: close to the double-precision reference, the same bits for any cut of a
// history, and the projection of that history on Legendre polynomials.
#include <gtest/gtest.h>

#include <functional>

#include "kernels/reference/ops.h"
#include "tests/unit/kernels/linear_scan_test_util.h"

namespace ssmd::kernels {
namespace {

using LegsScanTest = LinearScanTest;

// √(2n+1) P_n(2x − 1) for n below `count`.
std::vector<double> Polynomials(double x, int64_t count) {
  std::vector<double> p(static_cast<size_t>(count));
  double last = 0;
  double plain = 1;
  for (int64_t n = 0; n < count; ++n) {
    const auto degree = static_cast<double>(n);
    p[n] = std::sqrt(2 * degree + 1) * plain;
    const double next = ((2 * degree + 1) * (2 * x - 1) * plain - degree * last) / (degree + 1);
    last = plain;
    plain = next;
  }
  return p;
}

// ∫ of the n-th from 0 to x.
double Integral(double x, int64_t n) {
  if (n == 0) return x;
  const std::vector<double> p = Polynomials(x, n + 2);
  const auto degree = static_cast<double>(n);
  const double above = p[n + 1] / std::sqrt(2 * degree + 3);
  const double below = p[n - 1] / std::sqrt(2 * degree - 1);
  return (above - below) / (2 * std::sqrt(2 * degree + 1));
}

struct LegsShape {
  int64_t channels, state_size;
  LegsStep step;
  bool reads = true;
};

struct Legs {
  Legs(const LegsShape& s, int64_t rows_of_all)
      : shape(s),
        width(s.channels),
        rows(rows_of_all),
        u(RandomTensor(rows * width, 1)),
        output(RandomRows(s.state_size, s.channels, 2)),
        d(RandomTensor(s.channels, 3)),
        slots(kScanSlots, elements(), 4) {
    ClearPadding(*this, elements());
  }

  int64_t elements() const { return shape.state_size * PaddedLanes(shape.channels); }
  bool IsPadding(int64_t i) const { return i % PaddedLanes(shape.channels) >= shape.channels; }

  void Call(Device& device, const std::vector<Segment>& segments, const float* in,
            int64_t in_stride, float* y, int64_t y_stride) {
    auto params = ParamsOf<LegsScanParams>(segments, in, in_stride, y, y_stride);
    params.channels = shape.channels;
    params.state_size = shape.state_size;
    params.step = shape.step;
    params.output = shape.reads ? output.data() : nullptr;
    params.d = shape.reads ? d.data() : nullptr;
    if (!shape.reads) params.y = nullptr;
    params.state = slots.field();
    device.LegsScan(params);
  }

  LegsShape shape;
  int64_t width, rows;
  Tensor u;
  Tensor output, d;
  Slots slots;
};

constexpr LegsStep kSteps[] = {LegsStep::kBilinear, LegsStep::kExact};

TEST_P(LegsScanTest, AgreesWithTheReferenceAndBitwiseWithScalar) {
  for (const LegsStep step : kSteps) {
    const std::vector<LegsShape> shapes = {{1, 1, step},  {65, 16, step}, {5, 3, step, false},
                                           {16, 8, step}, {130, 6, step}, {64, 7, step},
                                           {33, 9, step}, {20, 64, step}, {3, 100, step}};
    for (const LegsShape& shape : Some(shapes)) {
      SCOPED_TRACE(testing::Message() << shape.channels << " channels, N = " << shape.state_size
                                      << (step == LegsStep::kExact ? ", exact" : ""));
      ExpectAgreement(Legs(shape, 23), 1e-5);
    }
  }
}

TEST_P(LegsScanTest, KeepsItsPromises) {
  for (const LegsStep step : kSteps) ExpectPromises<Legs>(LegsShape{70, 13, step});
}

TEST_P(LegsScanTest, AFirstTokenForgetsWhatTheSlotHeld) {
  for (const LegsStep step : kSteps) {
    Legs legs({20, 5, step}, 1);
    std::fill_n(legs.slots.at(0), legs.elements(), NAN);
    Scanned(legs, *device_, {{0, 1, 0, 0, 0}});
    Tensor expected(static_cast<size_t>(legs.elements()), 0.0f);
    std::copy(legs.u.begin(), legs.u.begin() + 20, expected.begin());
    EXPECT_TRUE(SameBits(legs.slots.copy(0), expected));
  }
}

// Gaussian elimination with partial pivoting.
std::vector<double> Solve(std::vector<std::vector<double>> a, std::vector<double> b) {
  const size_t size = b.size();
  for (size_t k = 0; k < size; ++k) {
    size_t pivot = k;
    for (size_t i = k; i < size; ++i) {
      if (std::abs(a[i][k]) > std::abs(a[pivot][k])) pivot = i;
    }
    std::swap(a[k], a[pivot]);
    std::swap(b[k], b[pivot]);
    for (size_t i = k + 1; i < size; ++i) {
      const double factor = a[i][k] / a[k][k];
      for (size_t j = k; j < size; ++j) a[i][j] -= factor * a[k][j];
      b[i] -= factor * b[k];
    }
  }
  for (size_t k = size; k-- > 0;) {
    for (size_t j = k + 1; j < size; ++j) b[k] -= a[k][j] * b[j];
    b[k] /= a[k][k];
  }
  return b;
}

double HippoLegs(size_t n, size_t k) {
  const auto row = static_cast<double>(n);
  const auto column = static_cast<double>(k);
  if (n == k) return -(row + 1);
  return n > k ? -std::sqrt((2 * row + 1) * (2 * column + 1)) : 0;
}

TEST(LegsStepTest, BilinearIsTheDenseSolve) {
  constexpr size_t kSize = 8;
  const reference::LegsRule none(0);
  std::vector<double> h(kSize), expected(kSize);
  const Tensor u = RandomTensor(50, 1);
  for (int64_t k = 0; k < 50; ++k) {
    reference::StepLegs(LegsStep::kBilinear, none, k, u[k], h);
    if (k == 0) {
      expected[0] = u[0];
      continue;
    }
    const auto position = static_cast<double>(k);
    std::vector<std::vector<double>> left(kSize, std::vector<double>(kSize));
    std::vector<double> right(kSize);
    for (size_t n = 0; n < kSize; ++n) {
      right[n] = expected[n] + std::sqrt(2 * static_cast<double>(n) + 1) / position * u[k];
      for (size_t m = 0; m < kSize; ++m) {
        left[n][m] = (n == m ? 1 : 0) - HippoLegs(n, m) / (2 * position);
        right[n] += HippoLegs(n, m) / (2 * position) * expected[m];
      }
    }
    expected = Solve(left, right);
    for (size_t n = 0; n < kSize; ++n) ASSERT_NEAR(h[n], expected[n], 1e-12) << k;
  }
}

// Coefficients of a signal that holds each of its samples.
std::vector<double> Projection(const std::vector<double>& samples, int64_t size) {
  std::vector<double> coefficients(static_cast<size_t>(size), 0.0);
  const auto count = static_cast<double>(samples.size());
  for (int64_t n = 0; n < size; ++n) {
    for (size_t i = 0; i < samples.size(); ++i) {
      const auto at = static_cast<double>(i);
      coefficients[n] += samples[i] * (Integral((at + 1) / count, n) - Integral(at / count, n));
    }
  }
  return coefficients;
}

TEST(LegsStepTest, ExactIsTheProjectionOfTheHeldSignal) {
  constexpr int64_t kSize = 32;
  const reference::LegsRule rule(kSize);
  std::vector<double> h(kSize), samples;
  const Tensor u = RandomTensor(200, 1);
  for (int64_t k = 0; k < 200; ++k) {
    samples.push_back(u[k]);
    reference::StepLegs(LegsStep::kExact, rule, k, u[k], h);
  }
  const std::vector<double> expected = Projection(samples, kSize);
  for (int64_t n = 0; n < kSize; ++n) EXPECT_NEAR(h[n], expected[n], 1e-11) << n;
}

// The samples of a wave, in every channel.
Legs WaveOf(const LegsShape& shape, int64_t tokens) {
  Legs legs(shape, tokens);
  for (int64_t i = 0; i < tokens * shape.channels; ++i) {
    const double at = static_cast<double>(i / shape.channels) / static_cast<double>(tokens);
    legs.u[i] = static_cast<float>(std::cos(9 * at));
  }
  return legs;
}

std::vector<double> StateAfter(Legs& legs, Device& device) {
  Scanned(legs, device, {{0, static_cast<int32_t>(legs.rows), 0, 0, 0}});
  std::vector<double> h;
  for (int64_t n = 0; n < legs.shape.state_size; ++n) {
    h.push_back(legs.slots.at(0)[n * PaddedLanes(legs.shape.channels)]);
  }
  return h;
}

TEST_P(LegsScanTest, ExactHoldsTheProjection) {
  Legs legs = WaveOf({20, 24, LegsStep::kExact}, Few<int64_t>(300, 40));
  std::vector<double> samples;
  for (int64_t t = 0; t < legs.rows; ++t) samples.push_back(legs.u[t * 20]);
  const std::vector<double> h = StateAfter(legs, *device_);
  const std::vector<double> expected = Projection(samples, 24);
  for (int64_t n = 0; n < 24; ++n) EXPECT_NEAR(h[n], expected[n], 1e-5) << n;
}

// max |f − Σ h p|, between the ends of the samples.
double ReconstructionError(const std::vector<double>& h, const std::function<double(double)>& f) {
  double error = 0;
  for (int i = 0; i <= 100; ++i) {
    const double x = i / 100.0;
    const std::vector<double> p = Polynomials(x, static_cast<int64_t>(h.size()));
    double sum = 0;
    for (size_t n = 0; n < h.size(); ++n) sum += h[n] * p[n];
    error = std::max(error, std::abs(sum - f(x)));
  }
  return error;
}

TEST_P(LegsScanTest, MoreCoefficientsReconstructBetter) {
  const int64_t tokens = Few<int64_t>(4000, 400);
  const auto wave = [](double x) { return std::cos(9 * x); };
  // That of holding samples: a step of the steepest slope.
  const double held = 9.0 / static_cast<double>(tokens);
  const auto error_with = [&](int64_t size) {
    Legs legs = WaveOf({1, size, LegsStep::kExact}, tokens);
    return ReconstructionError(StateAfter(legs, *device_), wave);
  };
  double last = error_with(4);
  for (int64_t size : {8, 12}) {
    const double error = error_with(size);
    EXPECT_LT(error, last / 5 + held) << size;
    last = error;
  }
  EXPECT_LT(last, 2 * held);
}

// Of the continuous wave's coefficients.
TEST_P(LegsScanTest, TheBilinearErrorFallsWithTheSamples) {
  constexpr int64_t kSize = 6;
  constexpr int kIntervals = 1000;  // Simpson's rule
  std::vector<double> expected(kSize, 0.0);
  for (int j = 0; j <= kIntervals; ++j) {
    const double x = static_cast<double>(j) / kIntervals;
    const double inner = j % 2 == 0 ? 2 : 4;
    const double weight = (j == 0 || j == kIntervals ? 1 : inner) / (3.0 * kIntervals);
    const std::vector<double> p = Polynomials(x, kSize);
    for (int64_t n = 0; n < kSize; ++n) expected[n] += weight * std::cos(9 * x) * p[n];
  }
  const auto error = [&](int64_t tokens) {
    Legs legs = WaveOf({1, kSize, LegsStep::kBilinear}, tokens);
    const std::vector<double> h = StateAfter(legs, *device_);
    double most = 0;
    for (int64_t n = 0; n < kSize; ++n) most = std::max(most, std::abs(h[n] - expected[n]));
    return most;
  };
  double last = error(64);
  for (int64_t tokens : Some<int64_t>({128, 256, 512, 1024})) {
    if (tokens == 1024 && GetParam().slow) break;
    const double next = error(tokens);
    EXPECT_LT(next, last / 1.7) << tokens;
    last = next;
  }
}

TEST_P(LegsScanTest, DoesNotDriftOverManyTokens) {
  const int64_t tokens = Few<int64_t>(8192, 200);
  for (const LegsStep step : kSteps) {
    Legs legs({1, step == LegsStep::kExact ? 12 : 64, step}, tokens);
    Legs reference = legs;
    const std::vector<Segment> segments = {{0, static_cast<int32_t>(tokens), 0, 0, 0}};
    EXPECT_LT(
        RelativeError(Scanned(legs, *device_, segments), Scanned(reference, *reference_, segments)),
        Bound(1e-5));
    EXPECT_LT(RelativeError(legs.slots.copy(0), reference.slots.copy(0)), Bound(1e-5));
  }
}

TEST_P(LegsScanTest, StaysFiniteAtTheEndsOfTheRange) {
  for (const LegsStep step : kSteps) {
    for (const int64_t position : {int64_t{0}, int64_t{1}, int64_t{1} << 40}) {
      Legs legs({3, Few<int64_t>(256, 40), step}, 20);
      for (size_t i = 0; i < legs.u.size(); ++i) legs.u[i] = i % 2 == 0 ? 1e30f : -1e-38f;
      ExpectFinite(Scanned(legs, *device_, {{0, 20, 0, 0, position}}));
      ExpectFinite(legs.slots.copy(0));
    }
  }
}

INSTANTIATE_KERNEL_TEST(LegsScanTest);

}  // namespace
}  // namespace ssmd::kernels
