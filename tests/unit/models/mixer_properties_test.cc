// What every mixer promises, through whole models on the device of the CPU and the reference: no
// cut of a history, no slot and no neighbour shows, and a state is all that a session needs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/models/language_model.h"
#include "kernels/device.h"
#include "kernels/quantise.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_model.h"
#include "tests/unit/models/mixer_cases.h"

namespace ssmd {
namespace {

using testing::LogitRows;
using testing::MixerCase;
using testing::MixerCases;
using testing::StackModel;

// Of activations and states in single precision, over the largest.
constexpr double kTolerance = 1e-5;

std::vector<int32_t> Tokens(int count, uint32_t seed) {
  std::vector<int32_t> tokens;
  for (int i = 0; i < count; ++i) {
    seed = seed * 1664525 + 1013904223;
    tokens.push_back(static_cast<int32_t>((seed >> 8) % testing::kCaseVocabulary));
  }
  return tokens;
}

class MixerProperties : public ::testing::TestWithParam<std::tuple<MixerCase, std::string>> {
 protected:
  MixerProperties() : device_(MakeDevice()) {}

  const MixerCase& mixer() const { return std::get<0>(GetParam()); }
  bool on_reference() const { return std::get<1>(GetParam()) == "reference"; }

  std::unique_ptr<kernels::Device> MakeDevice() const {
    if (on_reference()) return kernels::MakeReferenceDevice();
    kernels::CpuOptions options;
    options.threads = 2;
    return kernels::MakeCpuDevice(options);
  }

  void Load(int layers, const ModelLoadOptions& options = ModelLoadOptions()) {
    if (layers != written_layers_) StackModel(mixer(), layers).Write(folder_);
    written_layers_ = layers;
    auto model = LoadLanguageModel(folder_.path(), options, device_.get());
    ASSERT_TRUE(model.ok()) << model.status();
    pool_.reset();
    model_ = *std::move(model);
    pool_ = *StatePool::Create(device_.get(), model_->state_layout(), 5);
  }

  // Feeds `tokens` to the session in `slot`, which is at `position`. The last one's logits.
  std::vector<float> Feed(const std::vector<int32_t>& tokens, const Slot& slot, int64_t position) {
    Batch batch;
    batch.token_ids = tokens;
    const auto count = static_cast<int32_t>(tokens.size());
    batch.segments.push_back({0, count, slot.index(), slot.index(), position});
    batch.logit_rows = {count - 1};
    model_->Forward(batch, *pool_);
    LogitRows rows;
    testing::AppendLogits(*model_, *pool_, 1, &rows);
    return rows[0];
  }

  std::vector<std::byte> StateOf(const Slot& slot) const {
    std::vector<std::byte> bytes(pool_->bytes_per_slot());
    EXPECT_TRUE(pool_->Read(slot, bytes.data()));
    return bytes;
  }

  // The elements of fields that are linear in themselves, given the inputs.
  std::vector<double> RecurrentPart(const std::vector<std::byte>& state) const {
    std::vector<double> elements;
    for (const StateFieldSpec& field : model_->state_layout().fields()) {
      if (!IsRecurrent(field)) continue;
      const size_t bytes = kernels::StateFormatBytes(field.format);
      for (size_t at = field.offset; at < field.offset + field.bytes; at += bytes) {
        elements.push_back(Element(field, &state[at]));
      }
    }
    return elements;
  }

  // `a`, with the mean of both in those fields.
  std::vector<std::byte> MeanOf(std::vector<std::byte> a, const std::vector<std::byte>& b) const {
    for (const StateFieldSpec& field : model_->state_layout().fields()) {
      if (!IsRecurrent(field)) continue;
      const size_t bytes = kernels::StateFormatBytes(field.format);
      for (size_t at = field.offset; at < field.offset + field.bytes; at += bytes) {
        const double mean = (Element(field, &a[at]) + Element(field, &b[at])) / 2;
        const auto narrow = static_cast<float>(mean);
        std::memcpy(&a[at], bytes == sizeof(mean) ? static_cast<const void*>(&mean) : &narrow,
                    bytes);
      }
    }
    return a;
  }

  // The same bits; on the reference device, which rounds its state at the end of a segment, nearly.
  void ExpectSame(const std::vector<float>& a, const std::vector<float>& b) const {
    ASSERT_EQ(a.size(), b.size());
    if (!on_reference()) {
      EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
    } else {
      EXPECT_LT(Distance({a.begin(), a.end()}, {b.begin(), b.end()}), kTolerance);
    }
  }

  static double Distance(const std::vector<double>& a, const std::vector<double>& b) {
    double apart = 0;
    double largest = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      apart = std::max(apart, std::abs(a[i] - b[i]));
      largest = std::max(largest, std::abs(b[i]));
    }
    return largest > 0 ? apart / largest : apart;
  }

  const testing::TempFolder folder_;
  std::unique_ptr<kernels::Device> device_;
  std::unique_ptr<LanguageModel> model_;
  std::unique_ptr<StatePool> pool_;

 private:
  int written_layers_ = 0;  // of the model in folder_, which a cache knows by its files' times

  static bool IsRecurrent(const StateFieldSpec& field) {
    return field.kind == StateKind::kSsm || field.kind == StateKind::kLinear ||
           field.kind == StateKind::kDelayLine;
  }
  static double Element(const StateFieldSpec& field, const std::byte* data) {
    if (field.format == kernels::StateFormat::kF64) {
      double wide = 0;
      std::memcpy(&wide, data, sizeof(wide));
      return wide;
    }
    float narrow = 0;
    std::memcpy(&narrow, data, sizeof(narrow));
    return narrow;
  }
};

TEST_P(MixerProperties, NoCutOfAHistoryShows) {
  ASSERT_NO_FATAL_FAILURE(Load(2));
  const std::vector<int32_t> tokens = Tokens(70, 1);
  const LogitRows whole = testing::RunInSegments(*model_, *pool_, tokens, {70});
  const Slot once = pool_->Acquire();
  Feed(tokens, once, 0);
  for (const std::vector<int>& lengths :
       {std::vector<int>(70, 1), {1, 69}, {69, 1}, {2, 3, 1, 40, 24}, {33, 37}}) {
    SCOPED_TRACE(::testing::PrintToString(lengths));
    const LogitRows cut = testing::RunInSegments(*model_, *pool_, tokens, lengths);
    for (size_t row = 0; row < whole.size(); ++row) ExpectSame(cut[row], whole[row]);
    const Slot slot = pool_->Acquire();
    auto next = tokens.begin();
    for (const int length : lengths) {
      Feed({next, next + length}, slot, next - tokens.begin());
      next += length;
    }
    if (on_reference()) {
      EXPECT_LT(Distance(RecurrentPart(StateOf(slot)), RecurrentPart(StateOf(once))), kTolerance);
    } else {
      EXPECT_EQ(StateOf(slot), StateOf(once));
    }
  }
}

TEST_P(MixerProperties, NeitherSlotNorNeighbourShows) {
  ASSERT_NO_FATAL_FAILURE(Load(2));
  const std::vector<int32_t> one = Tokens(9, 1);
  const std::vector<int32_t> two = Tokens(12, 2);
  const Slot slots[] = {pool_->Acquire(), pool_->Acquire(), pool_->Acquire()};
  Feed(one, slots[0], 0);
  Feed(two, slots[1], 0);
  const std::vector<float> alone = Feed({5, 6}, slots[0], 9);
  const std::vector<std::byte> state = StateOf(slots[0]);

  const Slot other = pool_->Acquire();  // the same session elsewhere, in between two others
  Feed(one, other, 0);
  Batch batch;
  batch.token_ids = {7, 5, 6, 8, 9, 3};
  batch.segments = {{0, 1, slots[1].index(), slots[1].index(), 12},
                    {1, 2, other.index(), other.index(), 9},
                    {3, 3, slots[2].index(), slots[2].index(), 0}};
  batch.logit_rows = {2};
  model_->Forward(batch, *pool_);
  LogitRows rows;
  testing::AppendLogits(*model_, *pool_, 1, &rows);
  EXPECT_EQ(rows[0], alone);
  EXPECT_EQ(StateOf(other), state);
}

TEST_P(MixerProperties, ASessionGoesOnFromItsBytes) {
  ASSERT_NO_FATAL_FAILURE(Load(2));
  const Slot first = pool_->Acquire();
  Feed(Tokens(30, 1), first, 0);
  const std::vector<std::byte> snapshot = StateOf(first);
  const std::vector<float> expected = Feed({1, 2, 3}, first, 30);
  const Slot second = pool_->Acquire();
  Feed(Tokens(20, 9), second, 0);  // is overwritten
  pool_->Write(snapshot.data(), second);
  EXPECT_EQ(Feed({1, 2, 3}, second, 30), expected);
  EXPECT_EQ(StateOf(second), StateOf(first));
}

// In a single layer inputs depend on tokens alone: then the mean of two states goes to the mean of
// what they go to.
TEST_P(MixerProperties, TheStateIsLinear) {
  ASSERT_NO_FATAL_FAILURE(Load(1));
  if (!mixer().linear) GTEST_SKIP() << mixer().name << " keeps its sums by their logarithms";
  const std::vector<int32_t> common = Tokens(8, 5);  // so that rings and shifts agree
  const Slot a = pool_->Acquire();
  const Slot b = pool_->Acquire();
  const Slot mean = pool_->Acquire();
  for (const auto& [slot, seed] : {std::pair(&a, 1u), std::pair(&b, 2u)}) {
    Feed(Tokens(24, seed), *slot, 0);
    Feed(common, *slot, 24);
  }
  ASSERT_GT(Distance(RecurrentPart(StateOf(a)), RecurrentPart(StateOf(b))), 1e-3);
  pool_->Write(MeanOf(StateOf(a), StateOf(b)).data(), mean);
  for (const Slot* slot : {&a, &b, &mean}) Feed(Tokens(10, 7), *slot, 32);
  EXPECT_LT(Distance(RecurrentPart(StateOf(mean)), RecurrentPart(MeanOf(StateOf(a), StateOf(b)))),
            kTolerance);
}

TEST_P(MixerProperties, ALongHistoryStaysFinite) {
  ASSERT_NO_FATAL_FAILURE(Load(2));
  const Slot slot = pool_->Acquire();
  std::vector<float> logits;
  for (int64_t position = 0; position < 4096; position += 512) {
    logits = Feed(Tokens(512, static_cast<uint32_t>(position)), slot, position);
  }
  for (const float logit : logits) EXPECT_TRUE(std::isfinite(logit));
  for (const double element : RecurrentPart(StateOf(slot))) ASSERT_LT(std::abs(element), 1e6);
}

// Matrices that were computed at load time take any format, and a load from the cache gives the
// same bits.
TEST_P(MixerProperties, WeightsMayBeKeptInFewerBitsAndInACache) {
  const std::vector<int32_t> tokens = Tokens(20, 1);
  ASSERT_NO_FATAL_FAILURE(Load(2));
  const std::vector<float> exact = Feed(tokens, pool_->Acquire(), 0);
  const testing::TempFolder cache;
  ModelLoadOptions options;
  options.cache_dir = cache.File("weights");
  for (const auto format : {kernels::WeightFormat::kBf16, kernels::WeightFormat::kQ8}) {
    SCOPED_TRACE(kernels::WeightFormatName(format));
    options.weights = format;
    ASSERT_NO_FATAL_FAILURE(Load(2, options));
    const std::vector<float> logits = Feed(tokens, pool_->Acquire(), 0);
    const double moved = Distance({logits.begin(), logits.end()}, {exact.begin(), exact.end()});
    EXPECT_GT(moved, 1e-5);
    EXPECT_LT(moved, 0.1);
    ASSERT_NO_FATAL_FAILURE(Load(2, options));
    EXPECT_EQ(model_->info().weights_from_cache, kernels::IsQuantised(format));
    EXPECT_EQ(Feed(tokens, pool_->Acquire(), 0), logits);
  }
}

TEST_P(MixerProperties, AStateIsNarrowedOnlyWhereItIsOneOfMatricesOrSelection) {
  ASSERT_NO_FATAL_FAILURE(Load(1));
  const auto& fields = model_->state_layout().fields();
  const bool narrows = std::any_of(fields.begin(), fields.end(), [](const StateFieldSpec& field) {
    return field.kind == StateKind::kSsm;
  });
  ModelLoadOptions options;
  options.state = kernels::StateFormat::kBf16;
  const auto model = LoadLanguageModel(folder_.path(), options, device_.get());
  EXPECT_EQ(model.ok(), narrows) << model.status();
  if (!narrows) {
    EXPECT_THAT(std::string(model.status().message()), ::testing::HasSubstr("leave it f32"));
  }
}

// Where a family has a chunked form; the others say so.
TEST_P(MixerProperties, PromptsInChunksAreNearlySteppedOnes) {
  constexpr int kTokens = 150;
  const std::vector<int32_t> tokens = Tokens(kTokens, 1);
  ASSERT_NO_FATAL_FAILURE(Load(2));
  const LogitRows exact = testing::RunInSegments(*model_, *pool_, tokens, {kTokens});
  ModelLoadOptions options;
  options.prefill = Prefill::kChunked;
  if (!mixer().chunked) {
    const auto refused = LoadLanguageModel(folder_.path(), options, device_.get());
    EXPECT_THAT(std::string(refused.status().message()), ::testing::HasSubstr("no chunked form"));
    options.prefill = Prefill::kFast;
    ASSERT_NO_FATAL_FAILURE(Load(2, options));
    EXPECT_EQ(model_->info().chunk_tokens, 0);
    EXPECT_EQ(testing::RunInSegments(*model_, *pool_, tokens, {kTokens}), exact);
    return;
  }
  ASSERT_NO_FATAL_FAILURE(Load(2, options));
  const int chunk = static_cast<int>(model_->info().chunk_tokens);
  ASSERT_GT(chunk, 0);
  const LogitRows whole = testing::RunInSegments(*model_, *pool_, tokens, {kTokens});
  double distance = 0;
  for (size_t row = 0; row < whole.size(); ++row) {
    distance = std::max(distance, Distance({whole[row].begin(), whole[row].end()},
                                           {exact[row].begin(), exact[row].end()}));
  }
  EXPECT_LT(distance, kTolerance);
  EXPECT_EQ(distance > 0, !on_reference());  // the reference steps
  // Cuts at chunks do not show, and single tokens are exact.
  const LogitRows cut = testing::RunInSegments(*model_, *pool_, tokens,
                                               {chunk, 2 * chunk, 1, 40, kTokens - 3 * chunk - 41});
  for (int row = 0; row < 3 * chunk; ++row) ExpectSame(cut[row], whole[row]);
  const LogitRows single =
      testing::RunInSegments(*model_, *pool_, tokens, std::vector<int>(kTokens, 1));
  for (size_t row = 0; row < exact.size(); ++row) ExpectSame(single[row], exact[row]);
  // A session goes on from its bytes.
  const Slot slot = pool_->Acquire();
  Feed({tokens.begin(), tokens.begin() + 2 * chunk}, slot, 0);
  const Slot copy = pool_->Acquire();
  pool_->Write(StateOf(slot).data(), copy);
  const std::vector<int32_t> rest(tokens.begin() + 2 * chunk, tokens.end());
  EXPECT_EQ(Feed(rest, copy, 2 * chunk), Feed(rest, slot, 2 * chunk));
  EXPECT_EQ(StateOf(copy), StateOf(slot));
}

INSTANTIATE_TEST_SUITE_P(All, MixerProperties,
                         ::testing::Combine(::testing::ValuesIn(MixerCases()),
                                            ::testing::Values(std::string("cpu"),
                                                              std::string("reference"))),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param).name) + "_on_" +
                                  std::get<1>(test.param);
                         });

}  // namespace
}  // namespace ssmd
