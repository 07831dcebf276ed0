// Memories: the update of every device against formulations of its own (the analytic projection,
// the matrix exponential), any cut of a history, and what is read out of a state.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>
#include <random>
#include <string>
#include <vector>

#include "engine/models/hippo.h"
#include "engine/models/memory_model.h"
#include "engine/models/memory_reader.h"
#include "kernels/device.h"
#include "tests/unit/models/differences.h"

namespace ssmd {
namespace {

using Signal = std::vector<float>;  // interleaved by channel

MemoryConfig Legs(int64_t n, int64_t channels = 1) {
  return {MemoryBasis::kLegs, n, channels, 0, false};
}
MemoryConfig Bilinear(int64_t n) { return {MemoryBasis::kLegs, n, 1, 0, true}; }
MemoryConfig Legt(int64_t n, int64_t window) { return {MemoryBasis::kLegt, n, 1, window, false}; }
MemoryConfig Fourier(int64_t n, int64_t window) {
  return {MemoryBasis::kFourier, n, 1, window, false};
}

// A few slow sines and noise, each sample such that it is a token without rounding.
Signal MakeSignal(int64_t samples, uint32_t seed, float noise = 0.1f) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Signal signal;
  for (int64_t i = 0; i < samples; ++i) {
    const double t = static_cast<double>(i) / static_cast<double>(samples);
    const auto sample = static_cast<float>(std::sin(9 * t) + 0.5 * std::cos(40 * t * t) + 0.3 * t) +
                        noise * normal(random);
    signal.push_back(kernels::SampleOfToken(*kernels::TokenOfSample(sample)));
  }
  return signal;
}

std::vector<int32_t> Tokens(const Signal& signal) {
  std::vector<int32_t> tokens;
  for (const float sample : signal) tokens.push_back(*kernels::TokenOfSample(sample));
  return tokens;
}

// A memory on a device, with slots of its own.
class Memory {
 public:
  Memory(const MemoryConfig& config, kernels::Device* device) : device_(device) {
    ModelLoadOptions options;
    options.max_rows = 1 << 17;
    auto model = MakeMemoryModel(config, options, device);
    EXPECT_TRUE(model.ok()) << model.status();
    model_ = *std::move(model);
    auto pool = StatePool::Create(device, model_->state_layout(), 3);
    EXPECT_TRUE(pool.ok()) << pool.status();
    pool_ = *std::move(pool);
    for (Slot& slot : slots_) slot = pool_->Acquire();
    reader_ = std::make_unique<MemoryReader>(config, model_->state_layout());
  }

  // From one slot into another, so that both ways of a step are met.
  void Feed(absl::Span<const int32_t> tokens) {
    Batch batch;
    batch.token_ids.assign(tokens.begin(), tokens.end());
    const auto length = static_cast<int32_t>(tokens.size());
    std::swap(slots_[0], slots_[1]);
    batch.segments.push_back({0, length, slots_[1].index(), slots_[0].index(), position_});
    model_->Forward(batch, *pool_);
    position_ += length;
  }
  void Feed(const Signal& signal) { Feed(Tokens(signal)); }

  std::vector<std::byte> State() const {
    std::vector<std::byte> bytes(pool_->bytes_per_slot());
    EXPECT_TRUE(pool_->Read(slots_[0], bytes.data()));
    return bytes;
  }
  std::vector<ChannelReading> Read(const MemoryQuery& query) const {
    return reader_->Read(query, samples(), State().data());
  }
  std::vector<double> Coefficients(int32_t channel = 0) const {
    MemoryQuery query;
    query.channels = {channel};
    query.coefficients = true;
    return Read(query)[0].coefficients;
  }
  std::vector<double> Reconstruct(std::vector<double> times) const {
    MemoryQuery query;
    query.times = std::move(times);
    return Read(query)[0].values;
  }
  double Error() const {
    MemoryQuery query;
    query.error = true;
    return Read(query)[0].rms_error.value();
  }
  int64_t samples() const { return position_ / reader_->config().channels; }
  const MemoryReader& reader() const { return *reader_; }
  const LanguageModel& model() const { return *model_; }

 private:
  kernels::Device* device_;
  std::unique_ptr<LanguageModel> model_;
  std::unique_ptr<StatePool> pool_;
  Slot slots_[2];
  int64_t position_ = 0;
  std::unique_ptr<MemoryReader> reader_;
};

// ∫ from 0 to x of the orthonormal polynomials, by ∫ P_n = (P_{n+1} − P_{n−1}) / (2n + 1).
std::vector<double> IntegralsTo(double x, int64_t n) {
  const std::vector<double> p = LegendrePolynomials(x, n + 1);
  std::vector<double> integrals = {x};
  for (int64_t k = 1; k < n; ++k) {
    const auto degree = static_cast<size_t>(k);
    integrals.push_back((p[degree + 1] - p[degree - 1]) /
                        (2 * std::sqrt(static_cast<double>(2 * k + 1))));
  }
  return integrals;
}

// Of the signal that holds each sample, over all of it.
std::vector<double> Projection(const Signal& signal, int64_t n) {
  std::vector<double> c(static_cast<size_t>(n));
  std::vector<double> before(c.size());
  for (size_t i = 0; i < signal.size(); ++i) {
    const std::vector<double> integrals =
        IntegralsTo(static_cast<double>(i + 1) / static_cast<double>(signal.size()), n);
    for (size_t k = 0; k < c.size(); ++k) c[k] += signal[i] * (integrals[k] - before[k]);
    before = integrals;
  }
  return c;
}

LinearSystem LegsSystem(int64_t n) {
  LinearSystem system{Eigen::MatrixXd::Zero(n, n), Eigen::VectorXd(n)};
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t column = 0; column < row; ++column) {
      system.a(row, column) = -std::sqrt(static_cast<double>((2 * row + 1) * (2 * column + 1)));
    }
    system.a(row, row) = -static_cast<double>(row + 1);
    system.b[row] = std::sqrt(static_cast<double>(2 * row + 1));
  }
  return system;
}

Eigen::VectorXd AsVector(const std::vector<double>& values) {
  return Eigen::Map<const Eigen::VectorXd>(values.data(), static_cast<int64_t>(values.size()));
}

class MemoryScanTest : public ::testing::Test {
 protected:
  std::unique_ptr<kernels::Device> device_ = kernels::MakeCpuDevice({});
  std::unique_ptr<kernels::Device> reference_ = kernels::MakeReferenceDevice();
};

// --- Samples as tokens ---

TEST(SampleTokens, AreSamplesOfTwentyThreeBits) {
  for (const float sample : {0.0f, -0.0f, 1.0f, -2.5f, 3.1415925f, 1e-40f, -3e38f}) {
    const auto token = kernels::TokenOfSample(sample);
    ASSERT_TRUE(token.has_value());
    EXPECT_GE(*token, 0);
    EXPECT_LT(*token, kernels::kSampleTokens);
    const float back = kernels::SampleOfToken(*token);
    EXPECT_EQ(std::signbit(back), std::signbit(sample));
    EXPECT_LE(std::abs(back - sample), std::max(std::abs(sample) * 0x1p-23f, 0x1p-149f));
    EXPECT_EQ(kernels::TokenOfSample(back), token);
  }
}

TEST(SampleTokens, TiesGoToEven) {
  const float one = 1.0f;
  const float odd = std::nextafter(one, 2.0f);  // 1 + 2⁻²³, between 1 and 1 + 2⁻²²
  const float odd_above = std::nextafter(std::nextafter(odd, 2.0f), 2.0f);
  EXPECT_EQ(kernels::SampleOfToken(*kernels::TokenOfSample(odd)), 1.0f);
  EXPECT_EQ(kernels::SampleOfToken(*kernels::TokenOfSample(odd_above)), 1.0f + 0x1p-21f);
}

TEST(SampleTokens, WhatIsNotFiniteIsNone) {
  for (const float sample : {INFINITY, -INFINITY, NAN, -NAN}) {
    EXPECT_FALSE(kernels::TokenOfSample(sample).has_value());
  }
  // It would round to infinity.
  EXPECT_FALSE(kernels::TokenOfSample(std::numeric_limits<float>::max()).has_value());
}

// --- LegS, holding samples ---

TEST_F(MemoryScanTest, LegsIsTheProjectionOfTheHeldSignal) {
  for (const int64_t n : {1, 2, 7, 8, 64, 256}) {
    SCOPED_TRACE(n);
    for (kernels::Device* device : {device_.get(), reference_.get()}) {
      Memory memory(Legs(n), device);
      const Signal signal = MakeSignal(n > 64 ? 40 : 700, 1);
      memory.Feed(signal);
      EXPECT_LT(LargestDifference(memory.Coefficients(), Projection(signal, n)), 1e-11);
    }
  }
}

TEST_F(MemoryScanTest, LegsIsTheMatrixExponentialOfItsSystem) {
  constexpr int64_t kSize = 16;
  const Signal signal = MakeSignal(60, 2);
  Memory memory(Legs(kSize), device_.get());
  memory.Feed(signal);
  Eigen::VectorXd c = Eigen::VectorXd::Zero(kSize);
  c[0] = signal[0];
  for (size_t k = 1; k < signal.size(); ++k) {
    const double time = std::log1p(1 / static_cast<double>(k));  // of the logarithm of time
    const LinearSystem step = HoldInput(LegsSystem(kSize), time);
    c = (step.a * c + step.b * signal[k]).eval();
  }
  EXPECT_LT((AsVector(memory.Coefficients()) - c).cwiseAbs().maxCoeff(), 1e-11);
}

TEST_F(MemoryScanTest, RoundingDoesNotAddUpOverALongSignal) {
  const Signal signal = MakeSignal(100000, 3);
  Memory memory(Legs(64), device_.get());
  memory.Feed(signal);
  const std::vector<double> exact = Projection(signal, 64);
  EXPECT_LT(LargestDifference(memory.Coefficients(), exact), 1e-11);
  EXPECT_EQ(memory.State().size(), memory.model().state_layout().bytes_per_slot());
}

// The integral of the squared difference, by quadrature that is exact for it.
TEST_F(MemoryScanTest, TheErrorIsThatOfTheReconstruction) {
  constexpr int64_t kSize = 12;
  const Signal signal = MakeSignal(300, 4, 0.5f);
  Memory memory(Legs(kSize), device_.get());
  memory.Feed(signal);
  const std::vector<double> c = memory.Coefficients();
  const GaussLegendre rule(kSize);
  double sum = 0;
  for (size_t i = 0; i < signal.size(); ++i) {
    for (size_t j = 0; j < rule.nodes.size(); ++j) {
      const double x = (static_cast<double>(i) + rule.nodes[j]) / 300;
      const std::vector<double> p = NormalisedLegendre(x, kSize);
      double difference = -static_cast<double>(signal[i]);
      for (size_t n = 0; n < p.size(); ++n) difference += c[n] * p[n];
      sum += rule.weights[j] * difference * difference / 300;
    }
  }
  EXPECT_GT(memory.Error(), 0.1);
  EXPECT_NEAR(memory.Error(), std::sqrt(sum), 1e-11);
}

// A polynomial of low degree, sampled at the middle of each sample's time, is there again but for
// the steps between samples.
TEST_F(MemoryScanTest, LegsReconstructsASmoothSignal) {
  Signal signal;
  for (int i = 0; i < 4000; ++i) {
    const double x = (i + 0.5) / 4000;
    signal.push_back(static_cast<float>(1 - 3 * x + 5 * x * x * x));
  }
  Memory memory(Legs(8), device_.get());
  memory.Feed(signal);
  const std::vector<double> past = memory.Reconstruct({0, 17, 1999.25, 3999});
  EXPECT_NEAR(past[0], signal[0], 1e-5);
  EXPECT_NEAR(past[1], signal[17], 1e-5);
  EXPECT_NEAR(past[2], signal[1999] + 0.25 * (signal[2000] - signal[1999]), 1e-5);
  EXPECT_NEAR(past[3], signal[3999], 1e-5);
}

TEST_F(MemoryScanTest, MoreCoefficientsLeaveASmallerError) {
  const Signal signal = MakeSignal(2000, 5);
  double before = INFINITY;
  for (const int64_t n : {1, 4, 16, 64}) {
    Memory memory(Legs(n), device_.get());
    memory.Feed(signal);
    EXPECT_LT(memory.Error(), before);
    before = memory.Error();
  }
  EXPECT_LT(before, 0.11);  // what is left is the noise
}

// --- LegS by the trapezoidal rule ---

TEST_F(MemoryScanTest, BilinearLegsSolvesItsEquation) {
  constexpr int64_t kSize = 9;
  const LinearSystem system = LegsSystem(kSize);
  const Signal signal = MakeSignal(30, 6);
  for (kernels::Device* device : {device_.get(), reference_.get()}) {
    Memory memory(Bilinear(kSize), device);
    memory.Feed(absl::MakeConstSpan(Tokens(signal)).first(1));
    for (size_t k = 1; k < signal.size(); ++k) {
      const Eigen::VectorXd c = AsVector(memory.Coefficients());
      memory.Feed(Signal{signal[k]});
      const Eigen::VectorXd next = AsVector(memory.Coefficients());
      const Eigen::VectorXd change = system.a * (c + next) / 2 + system.b * signal[k];
      EXPECT_LT((next - c - change / static_cast<double>(k)).cwiseAbs().maxCoeff(), 1e-12);
    }
  }
}

TEST_F(MemoryScanTest, OnlyAProjectionKnowsItsError) {
  const Signal signal = MakeSignal(20, 7);
  MemoryQuery query;
  query.error = true;
  for (const MemoryConfig& config : {Bilinear(4), Legt(4, 10), Fourier(5, 10)}) {
    Memory memory(config, device_.get());
    memory.Feed(signal);
    EXPECT_FALSE(memory.Read(query)[0].rms_error.has_value());
  }
}

// --- Windows ---

TEST_F(MemoryScanTest, WindowsAgreeWithTheReference) {
  const Signal signal = MakeSignal(400, 8);
  for (const MemoryConfig& config : {Legt(20, 100), Fourier(21, 100), Legt(1, 2)}) {
    Memory ours(config, device_.get());
    Memory reference(config, reference_.get());
    ours.Feed(signal);
    reference.Feed(signal);
    EXPECT_LT(LargestDifference(ours.Coefficients(), reference.Coefficients()), 1e-12);
  }
}

TEST_F(MemoryScanTest, LegtReconstructsItsWindow) {
  constexpr int64_t kWindow = 1000;
  Signal signal;
  for (int i = 0; i < 5000; ++i) signal.push_back(std::sin(0.02f * static_cast<float>(i)));
  Memory memory(Legt(32, kWindow), device_.get());
  memory.Feed(signal);
  EXPECT_EQ(memory.reader().FirstCovered(5000), 4000);
  for (const int time : {4000, 4300, 4999}) {
    EXPECT_NEAR(memory.Reconstruct({static_cast<double>(time)})[0],
                signal[static_cast<size_t>(time)], 5e-3)
        << time;
  }
}

TEST_F(MemoryScanTest, FourierReconstructsItsWindow) {
  constexpr int64_t kWindow = 1000;
  Signal signal;
  for (int i = 0; i < 8000; ++i) {
    signal.push_back(static_cast<float>(std::sin(2 * std::numbers::pi * 3 * i / kWindow)));
  }
  Memory memory(Fourier(33, kWindow), device_.get());
  memory.Feed(signal);
  for (const int time : {7000, 7300, 7999}) {
    EXPECT_NEAR(memory.Reconstruct({static_cast<double>(time)})[0],
                signal[static_cast<size_t>(time)], 2e-2)
        << time;
  }
}

// --- Any cut, any company ---

TEST_F(MemoryScanTest, CutsThreadsAndInstructionSetsDoNotShow) {
  const Signal signal = MakeSignal(123, 9);
  for (const MemoryConfig& config :
       {Legs(20, 3), Legs(1, 3), Legt(20, 50), Fourier(9, 50), Bilinear(20)}) {
    SCOPED_TRACE(config.Describe());
    Memory whole(config, device_.get());
    whole.Feed(signal);
    const std::vector<int32_t> tokens = Tokens(signal);
    for (const size_t piece : {1, 2, 7, 100}) {
      for (const kernels::Isa isa : kernels::SupportedIsas()) {
        const auto device = kernels::MakeCpuDevice({isa, 3, false});
        Memory cut(config, device.get());
        for (size_t first = 0; first < tokens.size(); first += piece) {
          cut.Feed(absl::MakeConstSpan(tokens).subspan(first, piece));
        }
        EXPECT_EQ(cut.State(), whole.State()) << piece;
      }
    }
  }
}

TEST_F(MemoryScanTest, ChannelsAreMemoriesOfTheirOwn) {
  const Signal a = MakeSignal(50, 10);
  const Signal b = MakeSignal(50, 11);
  Signal both;
  for (size_t i = 0; i < a.size(); ++i) both.insert(both.end(), {a[i], b[i]});
  Memory together(Legs(16, 2), device_.get());
  Memory first(Legs(16), device_.get());
  Memory second(Legs(16), device_.get());
  together.Feed(both);
  first.Feed(a);
  second.Feed(b);
  EXPECT_EQ(together.samples(), 50);
  EXPECT_EQ(together.Coefficients(0), first.Coefficients());
  EXPECT_EQ(together.Coefficients(1), second.Coefficients());
}

TEST_F(MemoryScanTest, AReaderFeedsAsTheModelDoes) {
  const Signal signal = MakeSignal(90, 12);
  const std::vector<int32_t> tokens = Tokens(signal);
  for (const MemoryConfig& config : {Legs(33, 3), Fourier(17, 20)}) {
    Memory whole(config, device_.get());
    Memory part(config, device_.get());
    whole.Feed(signal);
    part.Feed(absl::MakeConstSpan(tokens).first(31));
    std::vector<std::byte> state = part.State();
    part.reader().Feed(31, absl::MakeConstSpan(tokens).subspan(31), state.data());
    EXPECT_EQ(state, whole.State());
  }
}

TEST_F(MemoryScanTest, QuestionsOutOfRangeAreRefused) {
  Memory memory(Legt(4, 10), device_.get());
  const MemoryReader& reader = memory.reader();
  EXPECT_TRUE(reader.Check({{5, 14.0}, {0}}, 15).ok());
  for (const double time : {4.9, 14.1, -1.0, static_cast<double>(NAN)}) {
    EXPECT_TRUE(absl::IsInvalidArgument(reader.Check({{time}, {}}, 15))) << time;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(reader.Check({{}, {1}}, 15)));
  EXPECT_TRUE(absl::IsInvalidArgument(reader.Check({{}, {-1}}, 15)));
  EXPECT_TRUE(absl::IsInvalidArgument(reader.Check({{0}, {}}, 0)));
  EXPECT_TRUE(reader.Check({{}, {}}, 0).ok());
}

}  // namespace
}  // namespace ssmd
