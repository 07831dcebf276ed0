// The GPU draws the tokens that cpu/ draws: all rows of a test go there together.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "kernels/cuda/plain_ops.h"
#include "tests/simt/gpu_fixture.h"
#include "tests/simt/sanitizers.h"
#include "tests/unit/kernels/kernel_test_util.h"
#include "tests/unit/kernels/sample_cases.h"

namespace ssmd::kernels::cuda {
namespace {

using Cases = std::vector<SampleCase>;

// Of rows that differ in their numbers alone, ThreadSanitizer, which takes a hundred times as long
// as their tokens do, sees a share.
#if defined(SSMD_SIMT_TSAN)
constexpr int kShare = 8;
#else
constexpr int kShare = 1;
#endif

Cases ShareOf(const Cases& cases) {
  Cases share;
  for (size_t i = 0; i < cases.size(); i += kShare) share.push_back(cases[i]);
  return share;
}

class SampleOnGpu : public simt::GpuTest {
 protected:
  // REQUIRES: cases of one vocabulary.
  std::vector<int32_t> Draw(const Cases& cases) {
    std::vector<simt::OnGpu<float>> logits;
    std::vector<simt::OnGpu<LogitAdjustment>> adjustments;
    std::vector<SampleRow> rows;
    for (const SampleCase& c : cases) {
      logits.push_back(Upload(c.logits));
      adjustments.emplace_back();
      if (!c.adjustments.empty()) adjustments.back() = Upload(c.adjustments);
      rows.push_back(c.row);
      rows.back().logits = logits.back().get();
      rows.back().adjustments = adjustments.back().get();
      rows.back().adjustment_count = static_cast<int64_t>(c.adjustments.size());
    }
    const auto vocabulary = static_cast<int64_t>(cases[0].logits.size());
    const auto count = static_cast<int64_t>(rows.size());
    const auto scratch =
        Upload(std::vector<uint8_t>(plain::SampleScratchBytes(count, vocabulary), 0xFF));
    const auto on_gpu = Upload(rows);
    plain::Sample(stream(), vocabulary, on_gpu.get(), count,
                  reinterpret_cast<std::byte*>(scratch.get()));
    std::vector<int32_t> tokens;
    for (const SampleRow& row : Download(on_gpu.get(), rows.size())) tokens.push_back(row.token_id);
    return tokens;
  }

  void ExpectAsOnCpu(const Cases& all) {
    const Cases cases = ShareOf(all);
    const std::vector<int32_t> tokens = Draw(cases);
    for (size_t i = 0; i < cases.size(); ++i) {
      EXPECT_EQ(tokens[i], SampleOne(*cpu_, cases[i])) << cases[i];
    }
  }

  const std::unique_ptr<Device> cpu_ = MakeCpuDevice({Isa::kScalar, 1});
};

TEST_F(SampleOnGpu, EverySettingDrawsAsOnCpu) {
  for (int64_t vocabulary : {1, 17, 1000, 5003}) ExpectAsOnCpu(SettingsCases(vocabulary, 2));
}

TEST_F(SampleOnGpu, LargeVocabulariesDrawAsOnCpu) { ExpectAsOnCpu(LargeVocabularyCases()); }

TEST_F(SampleOnGpu, CloseDrawsAreAsOnCpu) { ExpectAsOnCpu(CloseDrawCases(8)); }

TEST_F(SampleOnGpu, TiedScoresDrawAsOnCpu) { ExpectAsOnCpu(TiedScoreCases(4)); }

TEST_F(SampleOnGpu, VanishingScoresDrawAsOnCpu) { ExpectAsOnCpu(VanishingScoreCases(4)); }

TEST_F(SampleOnGpu, LogitsFarFromZeroDrawAsOnCpu) { ExpectAsOnCpu(FarFromZeroCases(10)); }

// Rows of any kind, made from a seed.
class RandomCase {
 public:
  explicit RandomCase(uint64_t seed) : engine_(seed) {}

  SampleCase Of(int64_t vocabulary) {
    SampleCase c{Logits(vocabulary), {}};
    c.row.temperature = OneOf({1, 1, 0.7f, 1.5f, 0.1f, 10, 0, 1e-40f, 1e-30f, 0.002f, 1e30f});
    c.row.top_k = static_cast<int32_t>(
        OneOf({0, 0, 0, 1, 2, 5, 40, 100, static_cast<float>(vocabulary / 2)}));
    c.row.top_p = OneOf({1, 1, 1, 0.9f, 0.5f, 0.1f, 0.999f, 0});
    c.row.min_p = OneOf({0, 0, 0, 0.01f, 0.3f, 1});
    c.row.repetition_penalty = OneOf({1, 1.3f, 0.5f, 1e30f});
    c.row.seed = engine_();
    c.row.choice = static_cast<uint32_t>(Below(4));
    c.row.position = engine_();
    if (Below(2) == 0) Adjust(c);
    if (Below(30) == 0) {
      c.logits[Below(c.logits.size())] = OneOf({NAN, INFINITY, -INFINITY});
    }
    return c;
  }

 private:
  uint64_t Below(uint64_t n) { return engine_() % n; }
  float OneOf(const std::vector<float>& values) { return values[Below(values.size())]; }

  Tensor Logits(int64_t vocabulary) {
    const float spread = OneOf({0.01f, 1, 6, 6, 50, 1e-30f, 1e30f, 3e38f, 1e-38f});
    Tensor logits = RandomTensor(vocabulary, static_cast<uint32_t>(engine_()));
    for (float& logit : logits) logit *= spread;
    switch (Below(6)) {
      case 0:
        RoundAll(logits);
        break;
      case 1:
        Fill(logits, OneOf({0, 3, -1e10f}));
        break;
      case 2:  // both zeros, which are equal
        for (float& logit : logits) logit = Below(2) == 0 ? 0.0f : -0.0f;
        break;
      default:
        break;
    }
    return logits;
  }

  void Adjust(SampleCase& c) {
    std::set<int32_t> ids;
    for (uint64_t i = Below(40); i > 0; --i)
      ids.insert(static_cast<int32_t>(Below(c.logits.size())));
    for (int32_t id : ids) {
      const float add = OneOf({0, 0, 1, -2, 5, -100, 3.4e38f, -3.4e38f});
      c.adjustments.push_back({id, Below(2) == 0, add});
    }
  }

  std::mt19937_64 engine_;
};

TEST_F(SampleOnGpu, AnyRowsDrawAsOnCpu) {
  RandomCase random(11);
  for (int64_t vocabulary : {1, 2, 3, 16, 33, 100, 257, 999, 2048, 2049, 4500}) {
    Cases cases;
    for (int i = 0; i < 16; ++i) cases.push_back(random.Of(vocabulary));
    ExpectAsOnCpu(cases);
  }
}

TEST_F(SampleOnGpu, AnyRowsOfLargeVocabulariesDrawAsOnCpu) {
  RandomCase random(12);
  for (int64_t vocabulary : {50280, 300000}) {
    Cases cases;
    for (int i = 0; i < 4; ++i) cases.push_back(random.Of(vocabulary));
    ExpectAsOnCpu(cases);
  }
}

TEST_F(SampleOnGpu, RowsAreIndependentOfEachOther) {
  RandomCase random(13);
  Cases cases;
  for (int i = 0; i < 9; ++i) cases.push_back(random.Of(700));
  cases[4].logits[3] = NAN;
  const std::vector<int32_t> together = Draw(cases);
  for (size_t i = 0; i < cases.size(); ++i) EXPECT_EQ(together[i], Draw({cases[i]})[0]) << cases[i];
  EXPECT_EQ(together[4], kNotFinite);
}

TEST_F(SampleOnGpu, TopKKeepsExactlyKAmongTies) {
  Cases cases;
  for (uint64_t position = 0; position < 40; ++position) {
    SampleCase c{Tensor(64, 1.0f), {}};
    c.row.top_k = 5;
    c.row.position = position;
    cases.push_back(c);
  }
  const std::vector<int32_t> tokens = Draw(cases);
  EXPECT_EQ(std::set<int32_t>(tokens.begin(), tokens.end()), (std::set<int32_t>{0, 1, 2, 3, 4}));
}

TEST_F(SampleOnGpu, NoRowsAreNoWork) {
  plain::Sample(stream(), 100, nullptr, 0, nullptr);
  EXPECT_EQ(simt::CountsSoFar().launches, 0);
}

}  // namespace
}  // namespace ssmd::kernels::cuda
