// The GPU's log-probabilities have the bits of cpu/.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/cuda/plain_ops.h"
#include "tests/simt/gpu_fixture.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

struct LogprobCase {
  Tensor logits;
  int32_t token_id;
  int32_t top_count;
};
struct Result {
  float logprob;
  std::vector<TokenLogprob> top;
};

class LogprobsOnGpu : public simt::GpuTest {
 protected:
  // REQUIRES: cases of one vocabulary.
  std::vector<Result> Of(const std::vector<LogprobCase>& cases) {
    std::vector<simt::OnGpu<float>> logits;
    std::vector<simt::OnGpu<TokenLogprob>> tops;
    std::vector<LogprobRow> rows;
    for (const LogprobCase& c : cases) {
      logits.push_back(Upload(c.logits));
      tops.push_back(Allocate<TokenLogprob>(kMaxTopLogprobs));
      rows.push_back({logits.back().get(), c.token_id, c.top_count, tops.back().get()});
    }
    const auto on_gpu = Upload(rows);
    plain::Logprobs(stream(), static_cast<int64_t>(cases[0].logits.size()), on_gpu.get(),
                    static_cast<int64_t>(rows.size()));
    rows = Download(on_gpu.get(), rows.size());
    std::vector<Result> results;
    for (size_t i = 0; i < rows.size(); ++i) {
      results.push_back({rows[i].logprob, Download(tops[i].get(), kMaxTopLogprobs)});
    }
    return results;
  }

  void ExpectAsOnCpu(const std::vector<LogprobCase>& cases) {
    const std::vector<Result> results = Of(cases);
    for (size_t i = 0; i < cases.size(); ++i) {
      const LogprobCase& c = cases[i];
      std::vector<TokenLogprob> top(static_cast<size_t>(c.top_count));
      LogprobRow row = {c.logits.data(), c.token_id, c.top_count, top.data()};
      cpu_->Logprobs({static_cast<int64_t>(c.logits.size()), &row, 1});
      EXPECT_EQ(Bits(results[i].logprob), Bits(row.logprob)) << c.logits.size() << " tokens";
      for (size_t t = 0; t < top.size(); ++t) {
        EXPECT_EQ(results[i].top[t].token_id, top[t].token_id) << t;
        EXPECT_EQ(Bits(results[i].top[t].logprob), Bits(top[t].logprob)) << t;
      }
    }
  }

  const std::unique_ptr<Device> cpu_ = MakeCpuDevice({Isa::kScalar, 1});
};

TEST_F(LogprobsOnGpu, HaveTheBitsOfCpu) {
  for (int32_t vocabulary : {1, 2, 15, 16, 17, 64, 1000, 2048, 2049, 4100}) {
    std::vector<LogprobCase> cases;
    for (float spread : {1e-38f, 0.1f, 5.0f, 60.0f, 3e38f}) {
      for (int32_t top : {0, 1, 5, kMaxTopLogprobs}) {
        Tensor logits = RandomTensor(vocabulary, static_cast<uint32_t>(top));
        for (float& logit : logits) logit *= spread;
        cases.push_back({logits, vocabulary / 2, std::min(vocabulary, top)});
      }
    }
    ExpectAsOnCpu(cases);
  }
}

TEST_F(LogprobsOnGpu, HaveTheBitsOfCpuForLargeVocabularies) {
  for (int32_t vocabulary : {50280, 300000}) {
    ExpectAsOnCpu({{RandomTensor(vocabulary, 1, -9, 9), 7, kMaxTopLogprobs},
                   {RandomTensor(vocabulary, 2, -30, 30), vocabulary - 1, 3}});
  }
}

TEST_F(LogprobsOnGpu, TiesAreInTheOrderOfTheirIds) {
  ExpectAsOnCpu({{{1, 3, 1, 3, 0, 1}, 0, 5}, {{0.0f, -0.0f, 0.0f, -0.0f, 1, -0.0f}, 1, 4}});
  std::vector<LogprobCase> cases;
  for (int32_t top : {1, 2, 17, 63, 64}) {
    Tensor logits = RandomTensor(900, 5, -3, 3);
    for (float& logit : logits) logit = std::round(logit);
    cases.push_back({logits, 3, top});
    cases.push_back({Tensor(900, -0.0f), 3, top});
  }
  ExpectAsOnCpu(cases);
}

TEST_F(LogprobsOnGpu, LogitsThatAreNotFiniteGiveNanInTheirRow) {
  for (float bad : {NAN, INFINITY, -INFINITY}) {
    std::vector<LogprobCase> cases(3, {RandomTensor(33, 1), 0, 2});
    cases[1].logits[20] = bad;
    const std::vector<Result> results = Of(cases);
    EXPECT_TRUE(std::isnan(results[1].logprob));
    EXPECT_TRUE(std::isnan(results[1].top[1].logprob));
    EXPECT_EQ(results[1].top[1].token_id, 1);
    EXPECT_TRUE(std::isfinite(results[0].logprob));
    EXPECT_EQ(Bits(results[0].logprob), Bits(results[2].logprob));
  }
}

TEST_F(LogprobsOnGpu, RowsAreIndependent) {
  std::vector<LogprobCase> cases;
  for (uint32_t r = 0; r < 7; ++r) {
    cases.push_back(
        {RandomTensor(3000, r), static_cast<int32_t>(r * 100), static_cast<int32_t>(r)});
  }
  const std::vector<Result> together = Of(cases);
  for (size_t r = 0; r < cases.size(); ++r) {
    EXPECT_EQ(Bits(together[r].logprob), Bits(Of({cases[r]})[0].logprob)) << r;
  }
}

}  // namespace
}  // namespace ssmd::kernels::cuda
