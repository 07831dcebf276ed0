// Sampling: equal to the definition (reference/sample.cc) token for token, distributed as it should
// be, and consistent between its own parameters.
#include <gtest/gtest.h>

#include <map>

#include "tests/unit/kernels/kernel_test_util.h"
#include "tests/unit/kernels/sample_cases.h"

namespace ssmd::kernels {
namespace {

using SampleTest = KernelTest;

int32_t SampleOne(Device& device, const Tensor& logits, SampleRow row) {
  row.logits = logits.data();
  device.Sample({static_cast<int64_t>(logits.size()), &row, 1});
  return row.token_id;
}

Tensor RandomLogits(int64_t vocabulary, uint32_t seed) {
  return RandomTensor(vocabulary, seed, -6, 6);
}

void ExpectEqual(Device& device, Device& definition, const std::vector<SampleCase>& cases) {
  for (const SampleCase& c : cases) {
    EXPECT_EQ(SampleOne(device, c), SampleOne(definition, c)) << c;
  }
}

TEST_P(SampleTest, EqualsTheDefinition) {
  for (int64_t vocabulary : Some<int64_t>({1, 2, 15, 17, 1000, 5003})) {
    ExpectEqual(*device_, *reference_, SettingsCases(vocabulary, Few(12u, 2u)));
  }
}

TEST_P(SampleTest, EqualsTheDefinitionOfLargeVocabularies) {
  ExpectEqual(*device_, *reference_, Some(LargeVocabularyCases()));
}

TEST_P(SampleTest, EqualsTheDefinitionWhereDrawsAreClose) {
  ExpectEqual(*device_, *reference_, CloseDrawCases(Few(60u, 2u)));
}

TEST_P(SampleTest, EqualsTheDefinitionWhereScoresTie) {
  ExpectEqual(*device_, *reference_, TiedScoreCases(Few(8u, 1u)));
}

TEST_P(SampleTest, EqualsTheDefinitionWhereScoresVanish) {
  ExpectEqual(*device_, *reference_, VanishingScoreCases(Few(10u, 1u)));
}

TEST_P(SampleTest, EqualsTheDefinitionFarFromZero) {
  ExpectEqual(*device_, *reference_, FarFromZeroCases(Few(40u, 2u)));
}

TEST_P(SampleTest, RowsAreIndependentOfEachOther) {
  constexpr int64_t kVocabulary = 700;
  std::vector<Tensor> logits;
  std::vector<SampleRow> rows(9);
  for (uint32_t r = 0; r < rows.size(); ++r) {
    logits.push_back(RandomLogits(kVocabulary, r));
    rows[r].top_p = 0.9f;
    rows[r].position = r;
  }
  logits[4][3] = NAN;
  for (size_t r = 0; r < rows.size(); ++r) rows[r].logits = logits[r].data();
  device_->Sample({kVocabulary, rows.data(), static_cast<int64_t>(rows.size())});
  for (size_t r = 0; r < rows.size(); ++r) {
    EXPECT_EQ(rows[r].token_id, SampleOne(*device_, logits[r], rows[r])) << r;
    EXPECT_EQ(rows[r].token_id == kNotFinite, r == 4);
  }
}

TEST_P(SampleTest, LogitsThatAreNotFiniteAreReported) {
  for (float bad : {NAN, INFINITY, -INFINITY}) {
    for (size_t place : {size_t{0}, size_t{7}, size_t{16}, size_t{20}}) {
      Tensor logits = RandomLogits(21, 1);
      logits[place] = bad;
      for (float temperature : {0.0f, 1.0f}) {
        SampleRow row;
        row.temperature = temperature;
        EXPECT_EQ(SampleOne(*device_, logits, row), kNotFinite) << bad << " at " << place;
      }
    }
  }
  Tensor extreme = {-3e38f, 3e38f, 0};
  EXPECT_EQ(SampleOne(*device_, extreme, {}), 1);
}

TEST_P(SampleTest, GreedyTakesTheLargestAndTiesGoToTheLowestId) {
  Tensor logits(100, -1.0f);
  logits[41] = logits[42] = logits[90] = 2;
  SampleRow row;
  row.temperature = 0;
  EXPECT_EQ(SampleOne(*device_, logits, row), 41);
  row.temperature = 1e-40f;  // below the normal numbers counts as 0
  EXPECT_EQ(SampleOne(*device_, logits, row), 41);
  EXPECT_EQ(SampleOne(*device_, {-0.0f, 0.0f}, row), 0);
}

TEST_P(SampleTest, NarrowestSettingsAreGreedy) {
  for (uint32_t seed = 0; seed < Few(50u, 4u); ++seed) {
    const Tensor logits = RandomLogits(333, seed);
    SampleRow greedy;
    greedy.temperature = 0;
    const int32_t expected = SampleOne(*device_, logits, greedy);
    SampleRow top_k;
    top_k.top_k = 1;
    SampleRow top_p;
    top_p.top_p = 0;
    SampleRow min_p;
    min_p.min_p = 1;
    SampleRow cold;
    cold.temperature = 1e-6f;
    for (SampleRow row : {top_k, top_p, min_p, cold}) {
      row.seed = seed;
      EXPECT_EQ(SampleOne(*device_, logits, row), expected);
    }
  }
}

TEST_P(SampleTest, WidestSettingsChangeNothing) {
  for (uint32_t seed = 0; seed < Few(50u, 4u); ++seed) {
    const Tensor logits = RandomLogits(333, seed);
    SampleRow plain;
    plain.seed = seed;
    const int32_t expected = SampleOne(*device_, logits, plain);
    SampleRow wide = plain;
    wide.top_k = 333;
    wide.min_p = 1e-12f;
    EXPECT_EQ(SampleOne(*device_, logits, wide), expected);
    Tensor shifted = logits;  // exactly: by a power of two beyond the logits' own bits
    for (float& logit : shifted) logit = std::round(logit * 1024) / 1024;
    const int32_t rounded = SampleOne(*device_, shifted, plain);
    for (float& logit : shifted) logit += 64;
    EXPECT_EQ(SampleOne(*device_, shifted, plain), rounded);
  }
}

TEST_P(SampleTest, AdjustmentsComeBeforeEverythingElse) {
  const Tensor logits = {2, -2, 1, 0, 5};
  SampleRow row;
  row.temperature = 0;
  row.repetition_penalty = 4;
  const LogitAdjustment penalised[] = {{4, true, 0}};
  row.adjustments = penalised;
  row.adjustment_count = 1;
  EXPECT_EQ(SampleOne(*device_, logits, row), 0);  // 5 / 4 < 2
  const LogitAdjustment both[] = {{4, true, 0.8f}};
  row.adjustments = both;
  EXPECT_EQ(SampleOne(*device_, logits, row), 4);  // 5 / 4 + 0.8
  const LogitAdjustment negative[] = {{1, true, 9.5f}, {4, false, -10}};
  row.adjustments = negative;
  row.adjustment_count = 2;
  EXPECT_EQ(SampleOne(*device_, logits, row), 0);  // −2 · 4 + 9.5 = 1.5 < 2
  const LogitAdjustment beyond[] = {{3, false, 3.4e38f}, {2, false, -3.4e38f}};
  row.adjustments = beyond;
  EXPECT_EQ(SampleOne(*device_, logits, row), 3);
  row.temperature = 1e-3f;
  EXPECT_EQ(SampleOne(*device_, logits, row), 3);
}

TEST_P(SampleTest, TopKKeepsExactlyKAmongTies) {
  const Tensor logits(64, 1.0f);
  SampleRow row;
  row.top_k = 5;
  std::map<int32_t, int> drawn;
  for (row.position = 0; row.position < Few(500u, 40u); ++row.position) {
    ++drawn[SampleOne(*device_, logits, row)];
  }
  EXPECT_EQ(drawn.size(), 5u);
  EXPECT_EQ(drawn.rbegin()->first, 4);
}

TEST_P(SampleTest, TopPKeepsTheSmallestSetThatReachesIt) {
  // Probabilities 1/2, 1/4, 1/8, 1/8.
  const Tensor logits = {std::log(4.0f), std::log(2.0f), 0, 0};
  const struct {
    float top_p;
    size_t kept;
  } kCases[] = {{0, 1}, {0.4f, 1}, {0.6f, 2}, {0.8f, 3}, {0.9f, 4}, {1, 4}};
  for (const auto& c : kCases) {
    SampleRow row;
    row.top_p = c.top_p;
    std::map<int32_t, int> drawn;
    for (row.position = 0; row.position < Few(500u, 40u); ++row.position) {
      ++drawn[SampleOne(*device_, logits, row)];
    }
    EXPECT_EQ(drawn.size(), c.kept) << c.top_p;
    EXPECT_EQ(drawn.rbegin()->first, static_cast<int32_t>(c.kept) - 1) << c.top_p;
  }
}

// Chi-square of draws at fixed seeds against the exact distribution; bounds are the 99.9% points.
void ExpectDistribution(Device& device, uint64_t draws, const Tensor& logits, SampleRow row,
                        const std::vector<double>& probabilities, double bound) {
  std::vector<int> counts(logits.size(), 0);
  row.seed = 12345;
  for (row.position = 0; row.position < draws; ++row.position) {
    ++counts[static_cast<size_t>(SampleOne(device, logits, row))];
  }
  double chi_square = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = probabilities[i] * static_cast<double>(draws);
    if (expected == 0) {
      EXPECT_EQ(counts[i], 0) << i;
    } else {
      chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
  }
  EXPECT_LT(chi_square, bound);
}

std::vector<double> Softmax(const Tensor& logits, double temperature, size_t keep) {
  std::vector<double> p(logits.size(), 0);
  double sum = 0;
  for (size_t i = 0; i < keep; ++i) sum += p[i] = std::exp(logits[i] / temperature);
  for (double& value : p) value /= sum;
  return p;
}

TEST_P(SampleTest, DrawsFollowTheExactDistribution) {
  const uint64_t draws = Few(20000u, 200u);
  const Tensor logits = {3, 2.5f, 2, 1.5f, 1, 0.5f, 0, -0.5f, -1, -2};  // descending
  SampleRow row;
  ExpectDistribution(*device_, draws, logits, row, Softmax(logits, 1, 10),
                     27.9);  // 9 degrees of freedom
  row.temperature = 2;
  ExpectDistribution(*device_, draws, logits, row, Softmax(logits, 2, 10), 27.9);
  row.temperature = 0.7f;
  row.top_k = 4;
  ExpectDistribution(*device_, draws, logits, row, Softmax(logits, 0.7f, 4), 16.3);  // 3
  SampleRow choices;  // another stream, and top_p: .397 + .241 reach 0.6
  choices.choice = 3;
  choices.top_p = 0.6f;
  ExpectDistribution(*device_, draws, logits, choices, Softmax(logits, 1, 2), 10.8);  // 1
}

INSTANTIATE_KERNEL_TEST(SampleTest);

}  // namespace
}  // namespace ssmd::kernels
