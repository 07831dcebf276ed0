#include <gtest/gtest.h>

#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {
namespace {

using LogprobsTest = KernelTest;

struct Result {
  float logprob;
  std::vector<int32_t> top_ids;
  Tensor top_logprobs;
};

Result LogprobsOf(Device& device, const Tensor& logits, int32_t token_id, int32_t top_count) {
  std::vector<TokenLogprob> top(static_cast<size_t>(top_count));
  LogprobRow row;
  row.logits = logits.data();
  row.token_id = token_id;
  row.top_count = top_count;
  row.top = top.data();
  device.Logprobs({static_cast<int64_t>(logits.size()), &row, 1});
  Result result{row.logprob, {}, {}};
  for (const TokenLogprob& entry : top) {
    result.top_ids.push_back(entry.token_id);
    result.top_logprobs.push_back(entry.logprob);
  }
  return result;
}

TEST_P(LogprobsTest, AgreeWithTheReferenceAndBitwiseWithScalar) {
  for (int32_t vocabulary : {1, 2, 15, 16, 17, 64, 1000, 50280}) {
    for (float spread : {0.1f, 5.0f, 60.0f}) {
      const Tensor logits = RandomTensor(vocabulary, 3, -spread, spread);
      const int32_t token = vocabulary / 2;
      const int32_t top = std::min(vocabulary, kMaxTopLogprobs);
      const Result ours = LogprobsOf(*device_, logits, token, top);
      const Result reference = LogprobsOf(*reference_, logits, token, top);
      const Result scalar = LogprobsOf(*scalar_, logits, token, top);
      EXPECT_NEAR(ours.logprob, reference.logprob, 2e-7 * std::abs(reference.logprob) + 2e-7);
      EXPECT_EQ(ours.logprob, scalar.logprob);
      EXPECT_EQ(ours.top_ids, reference.top_ids);
      EXPECT_TRUE(SameBits(ours.top_logprobs, scalar.top_logprobs));
    }
  }
}

TEST_P(LogprobsTest, TiesAreInTheOrderOfTheirIds) {
  const Tensor logits = {1, 3, 1, 3, 0, 1};
  EXPECT_EQ(LogprobsOf(*device_, logits, 0, 5).top_ids, (std::vector<int32_t>{1, 3, 0, 2, 5}));
}

TEST_P(LogprobsTest, ProbabilitiesSumToOne) {
  const Tensor logits = RandomTensor(64, 9, -4, 4);
  double sum = 0;
  for (float logprob : LogprobsOf(*device_, logits, 0, 64).top_logprobs)
    sum += std::exp(double{logprob});
  EXPECT_NEAR(sum, 1, 1e-6);
}

TEST_P(LogprobsTest, LogitsThatAreNotFiniteGiveNan) {
  for (float bad : {NAN, INFINITY, -INFINITY}) {
    Tensor logits = RandomTensor(33, 1);
    logits[20] = bad;
    const Result result = LogprobsOf(*device_, logits, 0, 2);
    EXPECT_TRUE(std::isnan(result.logprob));
    EXPECT_TRUE(std::isnan(result.top_logprobs[1]));
  }
}

TEST_P(LogprobsTest, RowsAreIndependent) {
  constexpr int64_t kVocabulary = 5000;
  std::vector<Tensor> logits;
  std::vector<LogprobRow> rows(7);
  for (uint32_t r = 0; r < rows.size(); ++r) {
    logits.push_back(RandomTensor(kVocabulary, r));
    rows[r].token_id = static_cast<int32_t>(r * 100);
  }
  for (size_t r = 0; r < rows.size(); ++r) rows[r].logits = logits[r].data();
  device_->Logprobs({kVocabulary, rows.data(), 7});
  for (size_t r = 0; r < rows.size(); ++r) {
    EXPECT_EQ(rows[r].logprob, LogprobsOf(*device_, logits[r], rows[r].token_id, 0).logprob) << r;
  }
}

INSTANTIATE_KERNEL_TEST(LogprobsTest);

}  // namespace
}  // namespace ssmd::kernels
