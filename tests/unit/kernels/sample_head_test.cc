// SampleHead: MatMul and Sample in one gives, draw by draw, what the two give.
#include <gtest/gtest.h>

#include <map>

#include "kernels/random.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {
namespace {

constexpr int64_t kInputs = 70;

struct Settings {
  float temperature;
  int32_t top_k;
  float top_p;
  float min_p;
  bool adjusted;
};
constexpr Settings kSettings[] = {
    {0, 0, 1, 0, false},      {1, 0, 1, 0, false},      {0.7f, 40, 1, 0, false},
    {1, 0, 0.9f, 0, false},   {1, 20, 0.9f, 0, false},  {0, 0, 1, 0, true},
    {1, 0, 1, 0.05f, false},  {0.01f, 0, 1, 0, false},  {1, 0, 1, 0, true},
    {1.5f, 1, 1, 0, false},   {2, 128, 1, 0.1f, false}, {2, 129, 1, 0, false},
    {0.5f, 3, 0.5f, 0, true}, {1e-40f, 5, 1, 0, false}};
constexpr LogitAdjustment kAdjustments[] = {{0, false, 3}, {5, true, 0}, {2, false, -100}};

std::vector<Settings> AllSettings() { return {std::begin(kSettings), std::end(kSettings)}; }

// A head, rows for it, and draws from them.
struct Head {
  Head(Device& device, int64_t vocabulary, WeightFormat format, int64_t rows, bool ties) {
    Tensor weights = RandomTensor(vocabulary * kInputs, 3, -0.4f, 0.4f);
    x = RandomTensor(rows * kInputs, 4, -2, 2);
    if (ties) {
      for (int64_t i = kInputs; i < vocabulary * kInputs; ++i) {  // equal rows of weights
        if (i / kInputs % 5 != 0) weights[i] = weights[i % kInputs];
      }
    }
    matrix = device.Pack(SourceOf(weights, vocabulary, kInputs), format);
    out.assign(static_cast<size_t>(rows * vocabulary), -7.0f);
    product.x = x.data();
    product.x_stride = kInputs;
    product.rows = rows;
    product.w = &matrix;
    product.out = out.data();
    product.out_stride = vocabulary;
    keep.assign(static_cast<size_t>(rows), 0);
  }

  void Draw(int64_t row, const Settings& settings, uint64_t position) {
    SampleRow draw;
    draw.logits = out.data() + row * matrix.outputs;
    draw.temperature = settings.temperature;
    draw.top_k = settings.top_k;
    draw.top_p = settings.top_p;
    draw.min_p = settings.min_p;
    draw.repetition_penalty = 1.5f;
    draw.seed = 7;
    draw.position = position;
    if (settings.adjusted && matrix.outputs > 5) {
      draw.adjustments = kAdjustments;
      draw.adjustment_count = 3;
    }
    draws.push_back(draw);
  }
  void Sample(Device& device) {
    device.SampleHead({product, keep.data(), draws.data(), static_cast<int64_t>(draws.size())});
  }

  // Draws and rows to keep, against the two ops.
  void ExpectSameAsApart(Device& device) {
    Tensor expected_logits(out.size());
    MatMulParams apart = product;
    apart.out = expected_logits.data();
    device.MatMul(apart);
    std::vector<SampleRow> expected = draws;
    for (SampleRow& draw : expected)
      draw.logits = expected_logits.data() + (draw.logits - out.data());
    device.Sample({matrix.outputs, expected.data(), static_cast<int64_t>(expected.size())});
    Sample(device);
    for (size_t i = 0; i < draws.size(); ++i) {
      EXPECT_EQ(draws[i].token_id, expected[i].token_id)
          << matrix.outputs << " tokens, " << WeightFormatName(matrix.format) << ", "
          << product.rows << " rows, draw " << i << " of " << draws.size();
    }
    for (size_t r = 0; r < keep.size(); ++r) {
      const auto at = static_cast<std::ptrdiff_t>(r) * matrix.outputs;
      if (keep[r] == 0) continue;
      EXPECT_TRUE(SameBits(
          Tensor(out.begin() + at, out.begin() + at + matrix.outputs),
          Tensor(expected_logits.begin() + at, expected_logits.begin() + at + matrix.outputs)))
          << "row " << r;
    }
  }

  Tensor x;
  PackedMatrix matrix;
  Tensor out;
  MatMulParams product;
  std::vector<uint8_t> keep;
  std::vector<SampleRow> draws;
};

using SampleHeadTest = KernelTest;

TEST_P(SampleHeadTest, EqualsTheTwoOpsApart) {
  for (WeightFormat format : kWeightFormats) {
    for (int64_t vocabulary : Some<int64_t>({1, 3, 500, 17, Few(3001, 250)})) {
      for (int64_t rows : Some<int64_t>({1, 2, 16, 7, 64, Few(65, 17)})) {
        if (vocabulary == 3001 && rows == 65) continue;
        Head head(*device_, vocabulary, format, rows, rows % 2 == 0);
        for (int64_t r = 0; r < rows; ++r) {
          const auto place = static_cast<size_t>(r + vocabulary);
          head.Draw(r, kSettings[place % std::size(kSettings)], static_cast<uint64_t>(r));
          head.keep[static_cast<size_t>(r)] = r % 6 == 5 ? 1 : 0;
        }
        head.ExpectSameAsApart(*device_);
      }
    }
  }
}

TEST_P(SampleHeadTest, EachSettingAloneAndSeveralDrawsOfARow) {
  for (WeightFormat format : {WeightFormat::kF32, WeightFormat::kQ8}) {
    for (const Settings& settings : Some(AllSettings())) {
      for (bool ties : {false, true}) {
        Head head(*device_, Few(1203, 120), format, 3, ties);
        for (uint64_t position = 0; position < Few(12u, 3u); ++position)
          head.Draw(position % 3, settings, position);
        head.ExpectSameAsApart(*device_);
      }
    }
  }
}

TEST_P(SampleHeadTest, MoreDrawsThanAreFollowed) {
  Head head(*device_, 300, WeightFormat::kQ8, 2, false);
  for (uint64_t position = 0; position < Few(150u, 70u); ++position) {
    head.Draw(position % 2, kSettings[position % 3], position);
  }
  head.ExpectSameAsApart(*device_);
}

TEST_P(SampleHeadTest, RowsThatAreNotFiniteAreReportedAndTouchNoOther) {
  for (float bad : {NAN, INFINITY, -INFINITY}) {
    for (WeightFormat format : kWeightFormats) {
      Head head(*device_, Few(900, 90), format, 9, false);
      for (int64_t r = 0; r < 9; ++r) head.Draw(r, kSettings[r % 3], 1);
      std::vector<int32_t> expected;
      head.Sample(*device_);
      for (const SampleRow& draw : head.draws) expected.push_back(draw.token_id);
      for (int64_t r : {3, 4, 5}) head.x[static_cast<size_t>(r * kInputs + 11)] = bad;
      head.Sample(*device_);
      for (size_t r = 0; r < 9; ++r) {
        const bool poisoned = r >= 3 && r <= 5;
        EXPECT_EQ(head.draws[r].token_id, poisoned ? kNotFinite : expected[r]) << r;
      }
      head.ExpectSameAsApart(*device_);
    }
  }
}

// One logit alone, in the first and the last places of panels, blocks and shares.
TEST_P(SampleHeadTest, OneLogitThatIsNotFiniteIsEnough) {
  constexpr int64_t kVocabulary = 3001;
  Tensor weights = RandomTensor(kVocabulary, 3);
  const Tensor x = {1};
  Tensor out(kVocabulary);
  for (size_t place : {0, 15, 16, 511, 512, 2999, 3000}) {
    Tensor poisoned = weights;
    poisoned[place] = -INFINITY;
    const PackedMatrix matrix =
        device_->Pack(SourceOf(poisoned, kVocabulary, 1), WeightFormat::kF32);
    SampleHeadParams params;
    params.product.x = x.data();
    params.product.x_stride = 1;
    params.product.rows = 1;
    params.product.w = &matrix;
    params.product.out = out.data();
    params.product.out_stride = kVocabulary;
    for (const Settings& settings : {kSettings[0], kSettings[1], kSettings[2]}) {
      SampleRow draw;
      draw.logits = out.data();
      draw.temperature = settings.temperature;
      draw.top_k = settings.top_k;
      params.draws = &draw;
      params.draw_count = 1;
      device_->SampleHead(params);
      EXPECT_EQ(draw.token_id, kNotFinite) << place;
    }
  }
}

// Draws that cannot be told apart until all logits are there.
TEST_P(SampleHeadTest, CloseDrawsAreSettledExactly) {
  constexpr int64_t kVocabulary = 600;
  const Tensor x = {1, 1};
  Tensor out(2 * kVocabulary);
  for (uint64_t position = 0; position < Few(40u, 5u); ++position) {
    Tensor weights(kVocabulary, -60.0f);
    for (int32_t id : {3, 100, 311, 599}) {
      weights[static_cast<size_t>(id)] = static_cast<float>(4 - Gumbel({9, 0, position}, id));
    }
    const PackedMatrix matrix =
        device_->Pack(SourceOf(weights, kVocabulary, 1), WeightFormat::kF32);
    SampleRow draws[2];
    for (int64_t r = 0; r < 2; ++r) {
      draws[r].logits = out.data() + r * kVocabulary;
      draws[r].seed = 9;
      draws[r].position = position + static_cast<uint64_t>(r);
    }
    SampleHeadParams params;
    params.product.x = x.data();
    params.product.x_stride = 1;
    params.product.rows = 2;
    params.product.w = &matrix;
    params.product.out = out.data();
    params.product.out_stride = kVocabulary;
    params.draws = draws;
    params.draw_count = 2;
    device_->SampleHead(params);
    const int32_t drawn[] = {draws[0].token_id, draws[1].token_id};
    reference_->Sample({kVocabulary, draws, 2});  // of row 0, which had to be written
    EXPECT_EQ(drawn[0], draws[0].token_id) << position;
  }
}

// Kept rows, tokens and the share of threads, for many of these.
TEST_P(SampleHeadTest, ThreadsDoNotShow) {
  std::map<int, std::vector<int32_t>> tokens;
  for (int threads : Some<int>({1, 2, 4, 5, 8})) {
    const std::unique_ptr<Device> device = Another(threads);
    Head head(*device, Few(4000, 300), WeightFormat::kQ8, 14, false);
    for (int64_t r = 0; r < 14; ++r) head.Draw(r, kSettings[r], static_cast<uint64_t>(r));
    head.ExpectSameAsApart(*device);
    for (const SampleRow& draw : head.draws) tokens[threads].push_back(draw.token_id);
    EXPECT_EQ(tokens[threads], tokens[1]) << threads;
  }
}

INSTANTIATE_KERNEL_TEST(SampleHeadTest);

}  // namespace
}  // namespace ssmd::kernels
