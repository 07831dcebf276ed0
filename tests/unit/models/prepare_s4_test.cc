// S4's preparation against dense linear algebra over all N modes, conjugates included.
#include "engine/models/mixers/prepare_s4.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>
#include <random>
#include <vector>

namespace ssmd {
namespace {

using Eigen::Index;
using Eigen::MatrixXcd;
using Eigen::VectorXcd;

// S4D-Lin's Λ, and all else at random.
S4Channel RandomChannel(int64_t half, int64_t rank, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  const auto number = [&] { return Complex(normal(random), normal(random)); };
  S4Channel channel;
  for (int64_t n = 0; n < half; ++n) {
    channel.lambda.emplace_back(-0.3 - std::abs(normal(random)),
                                3 * static_cast<double>(n) + normal(random));
    channel.b.push_back(number());
    channel.c.push_back(number());
  }
  for (int64_t r = 0; r < rank; ++r) {
    auto& row = channel.p.emplace_back();
    for (int64_t n = 0; n < half; ++n) row.push_back(number());
  }
  channel.step = 0.05;
  return channel;
}

// Followed by its conjugates.
VectorXcd Both(const std::vector<Complex>& half) {
  const auto size = static_cast<Index>(half.size());
  VectorXcd both(2 * size);
  for (Index n = 0; n < size; ++n) {
    both[n] = half[static_cast<size_t>(n)];
    both[size + n] = std::conj(both[n]);
  }
  return both;
}

struct DenseS4 {
  explicit DenseS4(const S4Channel& channel) : c(Both(channel.c)) {
    a = Both(channel.lambda).asDiagonal();
    for (const auto& p : channel.p) a -= Both(p) * Both(p).adjoint();
    const MatrixXcd one = MatrixXcd::Identity(a.rows(), a.cols());
    const MatrixXcd inverse = (one - a * (channel.step / 2)).inverse();
    step = inverse * (one + a * (channel.step / 2));
    input = inverse * (channel.step * Both(channel.b));
  }

  std::vector<double> Run(const std::vector<double>& u) const {
    VectorXcd x = VectorXcd::Zero(step.rows());
    std::vector<double> y;
    for (const double sample : u) {
      x = step * x + input * sample;
      const Complex sum = (c.transpose() * x)(0);
      EXPECT_LT(std::abs(sum.imag()), 1e-9);
      y.push_back(sum.real());
    }
    return y;
  }

  MatrixXcd a, step;
  VectorXcd input, c;
};

// As kernels::ModalScan is defined, without D.
std::vector<double> RunModes(const ModalChannel& modes, const std::vector<double>& u) {
  const size_t rank = modes.coupling_in.size();
  std::vector<Complex> h(modes.decay.size());
  std::vector<double> y;
  for (const double sample : u) {
    std::vector<double> sums(rank);
    for (size_t r = 0; r < rank; ++r) {
      for (size_t n = 0; n < h.size(); ++n) sums[r] += (modes.coupling_in[r][n] * h[n]).real();
    }
    double out = 0;
    for (size_t n = 0; n < h.size(); ++n) {
      h[n] = modes.decay[n] * h[n] + sample;
      for (size_t r = 0; r < rank; ++r) h[n] -= modes.coupling_out[r][n] * sums[r];
      out += (modes.output[n] * h[n]).real();
    }
    y.push_back(out);
  }
  return y;
}

std::vector<double> Noise(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> values(size);
  for (double& value : values) value = normal(random);
  return values;
}

double Distance(const std::vector<double>& a, const std::vector<double>& b) {
  double largest = 0;
  double apart = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(b[i]));
    apart = std::max(apart, std::abs(a[i] - b[i]));
  }
  return apart / largest;
}

TEST(PrepareS4, ReducedStepIsTheDenseOne) {
  const std::vector<double> u = Noise(300, 1);
  for (const int64_t rank : {1, 2, 4}) {
    for (const int64_t half : {1, 2, 8, 32}) {
      SCOPED_TRACE(::testing::Message() << "rank " << rank << ", " << half << " modes");
      const S4Channel channel = RandomChannel(half, rank, static_cast<uint32_t>(half + rank));
      EXPECT_LT(Distance(RunModes(ReduceBilinear(channel), u), DenseS4(channel).Run(u)), 1e-12);
    }
  }
}

// HiPPO-LegS in its normal form plus rank 1: λ_n ≈ −½ + i…, P_n and B_n ≈ √(2n+1).
TEST(PrepareS4, ReducedStepIsTheDenseOneForStiffModes) {
  S4Channel channel;
  for (int64_t n = 0; n < 32; ++n) {
    const auto degree = static_cast<double>(n);
    channel.lambda.emplace_back(-0.5, 1 + degree * degree);
    channel.b.emplace_back(std::sqrt(2 * degree + 1));
    channel.c.emplace_back(1 / (1 + degree), 0.3);
  }
  channel.p = {channel.b};
  for (const double step : {1e-3, 1e-1, 10.0}) {
    channel.step = step;
    const std::vector<double> u = Noise(300, 1);
    EXPECT_LT(Distance(RunModes(ReduceBilinear(channel), u), DenseS4(channel).Run(u)), 1e-11)
        << step;
  }
}

TEST(PrepareS4, AnInputThatReachesNoModeGivesNothing) {
  S4Channel channel = RandomChannel(4, 1, 1);
  channel.b.assign(4, 0);
  EXPECT_THAT(RunModes(ReduceBilinear(channel), {1, 2, 3}), ::testing::Each(0));
}

TEST(PrepareS4, AModeThatTheInputHardlyReachesKeepsItsPart) {
  S4Channel channel = RandomChannel(4, 1, 2);
  channel.p[0].assign(4, 1e-3);
  channel.b[2] = 0;
  const std::vector<double> u = Noise(100, 3);
  EXPECT_LT(Distance(RunModes(ReduceBilinear(channel), u), DenseS4(channel).Run(u)), 1e-7);
}

TEST(PrepareS4, RecoversTheOutputThatTrainingTruncates) {
  for (const int64_t length : {1, 7, 64, 1000}) {
    const S4Channel original = RandomChannel(6, 2, static_cast<uint32_t>(length));
    const DenseS4 dense(original);
    // C̃ = (I − Ā^L)ᵀ C over all modes, of which files have the first half.
    MatrixXcd power = MatrixXcd::Identity(12, 12);
    for (int64_t i = 0; i < length; ++i) power *= dense.step;
    const VectorXcd truncated = (MatrixXcd::Identity(12, 12) - power).transpose() * dense.c;
    S4Channel file = original;
    for (size_t n = 0; n < 6; ++n) file.c[n] = truncated[static_cast<Index>(n)];
    const std::vector<Complex> recovered = RecoverC(file, length);
    for (size_t n = 0; n < 6; ++n) {
      EXPECT_LT(std::abs(recovered[n] - original.c[n]), 1e-12 * dense.c.cwiseAbs().maxCoeff())
          << length;
    }
  }
}

TEST(PrepareS4, DiagonalStepIsTheDenseOneWhereTheBasisIsSound) {
  S4Channel channel = RandomChannel(8, 1, 5);
  for (Complex& p : channel.p[0]) p *= 0.1;
  const S4Eigenbasis basis = FindEigenbasis(channel.lambda, channel.p);
  EXPECT_GE(basis.condition, 1);
  EXPECT_LT(basis.condition, 3);
  ASSERT_EQ(basis.eigenvalues.size(), 8u);
  const std::vector<double> u = Noise(300, 1);
  const ModalChannel modes = DiagonalBilinear(channel, basis);
  EXPECT_TRUE(modes.coupling_in.empty());
  EXPECT_LT(Distance(RunModes(modes, u), DenseS4(channel).Run(u)), 1e-12);
}

// LegS itself: A = −½ − skew + P Pᵀ with eigenvalues −1, …, −N, by way of the eigenvectors of its
// skew part.
TEST(PrepareS4, HippoHasNoSoundBasis) {
  const Index size = 16;
  Eigen::MatrixXd skew = Eigen::MatrixXd::Zero(size, size);
  Eigen::VectorXd p(size);
  for (Index n = 0; n < size; ++n) {
    p[n] = std::sqrt(static_cast<double>(n) + 0.5);
    for (Index k = 0; k < n; ++k) {
      skew(n, k) = -std::sqrt((2.0 * n + 1) * (2.0 * k + 1)) / 2;
      skew(k, n) = -skew(n, k);
    }
  }
  const Eigen::SelfAdjointEigenSolver<MatrixXcd> solver(skew.cast<Complex>() * Complex(0, -1));
  S4Channel channel;
  channel.p.emplace_back();
  for (Index n = 0; n < size; ++n) {
    if (solver.eigenvalues()[n] <= 0) continue;
    channel.lambda.emplace_back(-0.5, solver.eigenvalues()[n]);
    channel.p[0].push_back(solver.eigenvectors().col(n).dot(p.cast<Complex>()));
  }
  ASSERT_EQ(channel.lambda.size(), 8u);
  const S4Eigenbasis basis = FindEigenbasis(channel.lambda, channel.p);
  EXPECT_GT(basis.condition, 1e6);
  EXPECT_GT(basis.condition, kMaxEigenvectorCondition);
}

}  // namespace
}  // namespace ssmd
