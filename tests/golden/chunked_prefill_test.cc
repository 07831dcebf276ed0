// Models of Mamba-2, RetNet and HiPPO-LegT, and of several mixers, whose prompts are taken in
// chunks: nearly the log-probabilities that steps give, and the same bits for cuts at chunks,
// threads and single tokens afterwards.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/models/language_model.h"
#include "kernels/device.h"
#include "tests/golden/golden_files.h"
#include "tests/support/test_model.h"

namespace ssmd {
namespace {

using testing::Distance;
using testing::ExpectSameBits;
using testing::LogitRows;
using testing::Widen;

constexpr int kLength = 200;
constexpr int kChunk = kernels::kSsdChunkTokens;
constexpr int kChunks = kLength / kChunk;
// Of a log-probability; 4.3e-5 is the most that was measured.
constexpr double kChunkedTolerance = 1e-3;

class ChunkedPrefill : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  LogitRows Run(Prefill prefill, const std::vector<int>& lengths, int threads = 2) {
    ModelLoadOptions options;
    options.weights = weights_;
    options.prefill = prefill;
    const auto device = testing::MakeDevice(std::get<1>(GetParam()), threads);
    const std::string folder = std::string(SSMD_GOLDEN_DATA) + "/" + std::get<0>(GetParam());
    const auto model = LoadLanguageModel(folder, options, device.get());
    EXPECT_TRUE(model.ok()) << model.status();
    const auto pool = StatePool::Create(device.get(), (*model)->state_layout(), 1);
    std::vector<int32_t> tokens;
    for (int i = 0; i < kLength; ++i) {
      tokens.push_back((i * i * 7 + i * 3 + 1) % (*model)->info().vocabulary);
    }
    return testing::RunInSegments(**model, **pool, tokens, lengths);
  }

  kernels::WeightFormat weights_ = kernels::WeightFormat::kF32;
};

TEST_P(ChunkedPrefill, GivesNearlyTheLogProbabilitiesOfSteps) {
  const LogitRows exact = Run(Prefill::kExact, {kLength});
  const LogitRows chunked = Run(Prefill::kChunked, {kLength});
  const double distance = Distance(chunked, Widen(exact));
  EXPECT_LT(distance, kChunkedTolerance);
  EXPECT_GT(distance, 0) << "nothing was chunked";
  // Cut elsewhere, too.
  EXPECT_LT(Distance(Run(Prefill::kChunked, {70, kLength - 70}), Widen(chunked)),
            kChunkedTolerance);
}

TEST_P(ChunkedPrefill, CutsAtChunksAndThreadsDoNotShow) {
  const LogitRows whole = Run(Prefill::kChunked, {kLength});
  ExpectSameBits(Run(Prefill::kChunked, {kChunk, 2 * kChunk, kLength - 3 * kChunk}), whole);
  std::vector<int> lengths = {kChunks * kChunk};
  lengths.resize(1 + kLength % kChunk, 1);  // then token by token
  ExpectSameBits(Run(Prefill::kChunked, lengths, 3), whole);
}

// Some activations are rounded to another code, which a tiny model of random weights makes much of
// (as in Golden.QuantisesLikeTheReference…), but not as much as of rounding all of them.
TEST_P(ChunkedPrefill, StaysNearStepsWithQuantisedWeights) {
  const LogitRows unrounded = Run(Prefill::kExact, {kLength});
  weights_ = kernels::WeightFormat::kQ8;
  const LogitRows chunked = Run(Prefill::kChunked, {kLength});
  const LogitRows exact = Run(Prefill::kExact, {kLength});
  EXPECT_LT(testing::RelativeDistance(chunked, Widen(exact)),
            testing::RelativeDistance(exact, Widen(unrounded)));
  ExpectSameBits(Run(Prefill::kChunked, {2 * kChunk, kLength - 2 * kChunk}), chunked);
}

TEST_P(ChunkedPrefill, SingleTokensAreExact) {
  const std::vector<int> one_by_one(kLength, 1);
  ExpectSameBits(Run(Prefill::kChunked, one_by_one), Run(Prefill::kExact, {kLength}));
}

INSTANTIATE_TEST_SUITE_P(
    All, ChunkedPrefill,
    ::testing::Combine(::testing::Values("mamba2_odd", "mamba2_minimal", "mamba2_biases",
                                         "mamba2_groups_bf16_sharded", "mamba2_original",
                                         "mamba2_norm_first", "mamba2_gate_only",
                                         "mamba2_mistral_bf16", "family_retnet", "family_legt",
                                         "family_hybrid_f16"),
                       ::testing::ValuesIn(testing::CpuNames())),
    [](const auto& test) { return std::get<0>(test.param) + "_on_" + std::get<1>(test.param); });

}  // namespace
}  // namespace ssmd
