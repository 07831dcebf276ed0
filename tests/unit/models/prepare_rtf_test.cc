// RTF's recurrence against the kernel that it was trained by.
#include "engine/models/mixers/prepare_rtf.h"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>
#include <complex>
#include <random>
#include <vector>

#include "tests/unit/models/differences.h"

namespace ssmd {
namespace {

using Complex = std::complex<double>;
constexpr double kRtfPi = 3.14159265358979323846;

// The polynomial with these roots and their conjugates, without its leading 1.
std::vector<double> DenominatorOf(const std::vector<Complex>& poles) {
  std::vector<double> a = {1};
  for (const Complex& pole : poles) {
    std::vector<double> product(a.size() + 2);
    for (size_t i = 0; i < a.size(); ++i) {
      product[i] += a[i];
      product[i + 1] -= 2 * pole.real() * a[i];
      product[i + 2] += std::norm(pole) * a[i];
    }
    a = product;
  }
  a.erase(a.begin());
  return a;
}

RtfGroup RandomGroup(size_t channels, double largest_pole, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  RtfGroup group;
  group.a = DenominatorOf({std::polar(largest_pole, 0.4), std::polar(0.6 * largest_pole, 1.9),
                           std::polar(0.3 * largest_pole, 2.8)});
  for (size_t channel = 0; channel < channels; ++channel) {
    auto& b = group.b.emplace_back();
    for (size_t i = 0; i < group.a.size(); ++i) b.push_back(uniform(random));
    group.h0.push_back(uniform(random));
  }
  return group;
}

// Of 1 or 0 at z⁰ and `values` from z⁻¹ on, where z is the n-th root of 1 to the power of k.
Complex AtRoot(double first, const std::vector<double>& values, int64_t k, int64_t n) {
  Complex sum = first;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto power = static_cast<int64_t>(i) + 1;
    const auto turn = static_cast<double>(power * k % n) / static_cast<double>(n);
    sum += values[i] * std::polar(1.0, -2 * kRtfPi * turn);
  }
  return sum;
}

// irfft(rfft([0, b]) / rfft([1, a]) + h₀) with n points, by the sum that defines it.
std::vector<double> TrainedKernel(const RtfGroup& group, size_t channel, int64_t n) {
  std::vector<double> kernel(static_cast<size_t>(n));
  for (int64_t k = 0; k < n; ++k) {
    const Complex h =
        AtRoot(0, group.b[channel], k, n) / AtRoot(1, group.a, k, n) + group.h0[channel];
    for (int64_t t = 0; t < n; ++t) {
      const auto turn = static_cast<double>(k * t % n) / static_cast<double>(n);
      kernel[static_cast<size_t>(t)] +=
          (h * std::polar(1.0, 2 * kRtfPi * turn)).real() / static_cast<double>(n);
    }
  }
  return kernel;
}

// What kernels::DifferenceScan is defined to give for 1, 0, 0, …
std::vector<double> ImpulseResponse(const std::vector<double>& numerator,
                                    const std::vector<double>& denominator, double d, int64_t n) {
  std::vector<double> v;
  std::vector<double> y;
  for (size_t t = 0; t < static_cast<size_t>(n); ++t) {
    double value = 0;
    for (size_t i = 1; i <= numerator.size() && i <= t; ++i) {
      value += (i == t ? numerator[i - 1] : 0) - denominator[i - 1] * v[t - i];
    }
    v.push_back(value);
    y.push_back(value + (t == 0 ? d : 0));
  }
  return y;
}

TEST(PrepareRtf, RecurrenceHasTheKernelOfTraining) {
  for (const int64_t trunc_len : {1, 2, 7, 8, 30, 31, 200}) {
    const RtfGroup group = RandomGroup(3, 0.98, static_cast<uint32_t>(trunc_len));
    const int64_t taps = trunc_len + trunc_len % 2;
    const RtfRecurrence recurrence = UnfoldKernel(group, trunc_len);
    ASSERT_EQ(recurrence.numerator.size(), 3u);
    for (size_t channel = 0; channel < 3; ++channel) {
      const std::vector<double> kernel = TrainedKernel(group, channel, taps);
      const std::vector<double> response =
          ImpulseResponse(recurrence.numerator[channel], group.a, recurrence.d[channel], taps);
      EXPECT_LT(LargestDifference(response, kernel), 1e-12) << trunc_len << ", " << channel;
    }
  }
}

// (I − A^L) c = b with h₀ as feed-through, as the paper's recurrence has it: without the transpose,
// and with an L that may be odd.
TEST(PrepareRtf, ThePublishedRecurrenceHasAnotherKernel) {
  for (const int64_t trunc_len : {30, 31}) {
    const RtfGroup group = RandomGroup(1, 0.98, 1);
    const auto size = static_cast<Eigen::Index>(group.a.size());
    Eigen::MatrixXd a = Eigen::MatrixXd::Zero(size, size);
    for (Eigen::Index n = 0; n < size; ++n) {
      a(0, n) = -group.a[static_cast<size_t>(n)];
      if (n > 0) a(n, n - 1) = 1;
    }
    Eigen::MatrixXd power = Eigen::MatrixXd::Identity(size, size);
    for (int64_t i = 0; i < trunc_len; ++i) power *= a;
    const Eigen::Map<const Eigen::VectorXd> b(group.b[0].data(), size);
    const Eigen::VectorXd c = (Eigen::MatrixXd::Identity(size, size) - power).lu().solve(b);
    const int64_t taps = trunc_len + trunc_len % 2;
    const std::vector<double> response =
        ImpulseResponse({c.begin(), c.end()}, group.a, group.h0[0], taps);
    EXPECT_GT(LargestDifference(response, TrainedKernel(group, 0, taps)), 0.1) << trunc_len;
  }
}

TEST(PrepareRtf, FindsTheLargestPole) {
  EXPECT_NEAR(LargestPole(DenominatorOf({std::polar(0.97, 1.0), std::polar(0.5, 0.2)})), 0.97,
              1e-12);
  EXPECT_NEAR(LargestPole({-1.25}), 1.25, 1e-15);  // z − 1.25
  EXPECT_EQ(LargestPole({0, 0, 0}), 0);
}

}  // namespace
}  // namespace ssmd
