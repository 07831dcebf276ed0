// Tiny checkpoints that Hugging Face transformers made and evaluated in float64 (tests/reference/
// says which two are evaluated by our own recurrence), and stacks of every mixer ("family_…"), by
// recurrences of PyTorch: loaded and run on every device, the whole path from files to logits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "engine/models/language_model.h"
#include "kernels/device.h"
#include "tests/golden/golden_files.h"
#include "tests/support/head_weights.h"
#include "tests/support/test_model.h"

namespace ssmd {
namespace {

using testing::CpuNames;
using testing::DeviceNames;
using testing::Distance;
using testing::Expected;
using testing::ExpectSameBits;
using testing::kTolerance;
using testing::LogitRows;
using testing::MakeDevice;
using testing::RunInSegments;
using testing::Widen;
namespace fs = std::filesystem;

// RelativeDistance of models whose activations are rounded to bf16.
constexpr double kRoundedTolerance = 0.1;

constexpr const char* kCases[] = {"mamba_odd",           "mamba_biases",
                                  "mamba_minimal",       "mamba_bf16",
                                  "mamba_f16",           "mamba_sharded",
                                  "mamba_original",      "falcon",
                                  "falcon_odd",          "falcon_bf16_sharded",
                                  "mamba2_odd",          "mamba2_minimal",
                                  "mamba2_biases",       "mamba2_groups_bf16_sharded",
                                  "mamba2_original",     "mamba2_norm_first",
                                  "mamba2_gate_only",    "mamba2_mistral_bf16",
                                  "family_mamba",        "family_mamba2",
                                  "family_s4",           "family_s4_rank2",
                                  "family_s4_truncated", "family_s4d",
                                  "family_s4d_bf16",     "family_s4d_bilinear",
                                  "family_s5",           "family_s5_bilinear",
                                  "family_lru",          "family_rtf",
                                  "family_rtf_channels", "family_legs",
                                  "family_legs_zoh",     "family_legt",
                                  "family_retnet",       "family_rwkv4",
                                  "family_rwkv5",        "family_rwkv6_f16",
                                  "family_rwkv7",        "family_rwkv7_bf16",
                                  "family_rwkv7_heads",  "family_hybrid_f16"};

fs::path Folder(const std::string& name) { return fs::path(SSMD_GOLDEN_DATA) / name; }

Expected ReadExpectedOf(const std::string& name) {
  return testing::ReadExpected(Folder(name) / "expected.safetensors");
}

class Golden : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  Golden() : device_(MakeDevice(std::get<1>(GetParam()), 2)) {}

  void Load(kernels::WeightFormat format) {
    ModelLoadOptions options;
    options.weights = format;
    options.max_rows = 64;
    options.max_logit_rows = 7;  // smaller than a prompt, so that logits come in tiles
    auto model = LoadLanguageModel(Folder(std::get<0>(GetParam())), options, device_.get());
    ASSERT_TRUE(model.ok()) << model.status();
    model_ = *std::move(model);
    for (const kernels::FastKernelState& kernel : device_->fast_kernels()) {
      ASSERT_EQ(kernel.off_because, "");
    }
    auto pool = StatePool::Create(device_.get(), model_->state_layout(), 4);
    ASSERT_TRUE(pool.ok()) << pool.status();
    pool_ = *std::move(pool);
  }

  // Drops what lives on the old device first.
  std::unique_ptr<kernels::Device> Reset(std::unique_ptr<kernels::Device> device) {
    pool_.reset();
    model_.reset();
    return device;
  }

  // Whether products with bf16 weights have their inputs rounded. Tensor cores do it with narrower
  // weights as well, where the reference rounds to int8.
  bool HasTensorCores() const { return std::get<1>(GetParam()) == "cuda"; }
  bool RoundsInputs() const {
    return HasTensorCores() || device_->profile(kernels::WeightFormat::kBf16) !=
                                   device_->profile(kernels::WeightFormat::kF32);
  }

  // The same bits; on the reference device, which rounds its state at the end of a segment, nearly.
  void ExpectSame(const LogitRows& a, const LogitRows& b) {
    if (std::get<1>(GetParam()) == "reference") {
      EXPECT_LT(Distance(a, Widen(b)), kTolerance);
    } else {
      ExpectSameBits(a, b);
    }
  }

  LogitRows Run(const std::vector<int32_t>& tokens, const std::vector<int>& lengths) {
    return RunInSegments(*model_, *pool_, tokens, lengths);
  }

  const Expected expected_ = ReadExpectedOf(std::get<0>(GetParam()));
  const int length_ = static_cast<int>(expected_.tokens.size());
  std::unique_ptr<kernels::Device> device_;
  std::unique_ptr<LanguageModel> model_;
  std::unique_ptr<StatePool> pool_;
};

using GoldenOnCpu = Golden;

TEST_P(Golden, GivesTheLogProbabilitiesOfFloat64) {
  ASSERT_NO_FATAL_FAILURE(Load(kernels::WeightFormat::kF32));
  EXPECT_LT(Distance(Run(expected_.tokens, {length_}), expected_.logits), kTolerance);
}

// The weights that the file holds, rounded: what is left is rounding in the activations. Where
// those are rounded to bf16, too, a tiny model of random weights makes much of it.
TEST_P(Golden, KeepsWeightsAsBf16LikeTheReference) {
  const bool rounds = RoundsInputs();
  const auto expect_near = [rounds](const LogitRows& rows,
                                    const std::vector<std::vector<double>>& expected) {
    if (rounds) {
      EXPECT_LT(testing::RelativeDistance(rows, expected), kRoundedTolerance);
    } else {
      EXPECT_LT(Distance(rows, expected), kTolerance);
    }
  };
  ASSERT_NO_FATAL_FAILURE(Load(kernels::WeightFormat::kBf16));
  const LogitRows rows = Run(expected_.tokens, {length_});
  const bool bf16_file = std::get<0>(GetParam()).find("bf16") != std::string::npos;
  if (bf16_file) {
    expect_near(rows, expected_.logits);
  } else {
    EXPECT_GT(Distance(rows, expected_.logits), 1e-3) << "the weights were not rounded";
  }
  device_ = Reset(MakeDevice("reference", 1));
  ASSERT_NO_FATAL_FAILURE(Load(kernels::WeightFormat::kBf16));
  expect_near(rows, Widen(Run(expected_.tokens, {length_})));
}

// Both devices quantise alike. Where their activations differ in the last bit some are rounded to
// another code, which a tiny model of random weights makes much of.
TEST_P(Golden, QuantisesLikeTheReferenceAndStaysNearTheOriginal) {
  const struct {
    kernels::WeightFormat format;
    double from_reference, from_original;
  } kFormats[] = {{kernels::WeightFormat::kQ8, 0.02, 0.3}, {kernels::WeightFormat::kQ4, 0.1, 0.8}};
  for (const auto& c : kFormats) {
    SCOPED_TRACE(kernels::WeightFormatName(c.format));
    ASSERT_NO_FATAL_FAILURE(Load(c.format));
    const LogitRows rows = Run(expected_.tokens, {length_});
    const double moved = testing::RelativeDistance(rows, expected_.logits);
    EXPECT_LT(moved, c.from_original);
    EXPECT_GT(moved, 1e-4) << "the weights were not quantised";
    device_ = Reset(MakeDevice("reference", 1));
    ASSERT_NO_FATAL_FAILURE(Load(c.format));
    const LogitRows reference = Run(expected_.tokens, {length_});
    EXPECT_LT(testing::RelativeDistance(rows, Widen(reference)),
              HasTensorCores() ? kRoundedTolerance : c.from_reference);
    device_ = Reset(MakeDevice(std::get<1>(GetParam()), 2));
  }
}

// What a profile is for; the plain kernels of CUDA promise it under another name.
TEST_P(GoldenOnCpu, GivesTheBitsOfScalarCodeWhereTheirProfilesAreEqual) {
  for (const auto format : {kernels::WeightFormat::kF32, kernels::WeightFormat::kBf16,
                            kernels::WeightFormat::kQ8, kernels::WeightFormat::kQ4}) {
    SCOPED_TRACE(kernels::WeightFormatName(format));
    ASSERT_NO_FATAL_FAILURE(Load(format));
    const std::string profile = device_->profile(format);
    const LogitRows rows = Run(expected_.tokens, {length_});
    device_ = Reset(MakeDevice("cpu_scalar", 1));
    ASSERT_NO_FATAL_FAILURE(Load(format));
    const LogitRows scalar = Run(expected_.tokens, {length_});
    if (device_->profile(format) == profile || profile == "cuda/plain") {
      ExpectSameBits(rows, scalar);
    }
    device_ = Reset(MakeDevice(std::get<1>(GetParam()), 2));
  }
}

// Not on the reference, which rounds its state at the end of a segment, and then activations to
// other codes.
TEST_P(GoldenOnCpu, QuantisedDependsOnNoSplitOfThePromptAndNoNumberOfThreads) {
  for (const auto format : {kernels::WeightFormat::kQ8, kernels::WeightFormat::kQ4}) {
    ASSERT_NO_FATAL_FAILURE(Load(format));
    const LogitRows whole = Run(expected_.tokens, {length_});
    ExpectSameBits(Run(expected_.tokens, {2, 1, 3, length_ - 6}), whole);
    ExpectSameBits(Run(expected_.tokens, std::vector<int>(static_cast<size_t>(length_), 1)), whole);
    device_ = Reset(MakeDevice(std::get<1>(GetParam()), 3));
    ASSERT_NO_FATAL_FAILURE(Load(format));
    ExpectSameBits(Run(expected_.tokens, {13, length_ - 13}), whole);
  }
}

TEST_P(Golden, DependsOnNoSplitOfThePrompt) {
  ASSERT_NO_FATAL_FAILURE(Load(kernels::WeightFormat::kF32));
  const LogitRows whole = Run(expected_.tokens, {length_});
  const std::vector<std::vector<int>> splits = {{1, length_ - 1},
                                                {length_ - 1, 1},
                                                {2, 1, 3, length_ - 6},
                                                {13, length_ - 13},
                                                std::vector<int>(static_cast<size_t>(length_), 1)};
  for (const std::vector<int>& lengths : splits) {
    SCOPED_TRACE(::testing::PrintToString(lengths));
    ExpectSame(Run(expected_.tokens, lengths), whole);
  }
}

// Three sessions at different positions advance in the same steps, one in segments of 1; each reads
// its parent's slot and writes another.
TEST_P(Golden, DependsOnNoNeighbour) {
  ASSERT_NO_FATAL_FAILURE(Load(kernels::WeightFormat::kF32));
  const LogitRows whole = Run(expected_.tokens, {length_});
  std::vector<int32_t> reversed(expected_.tokens.rbegin(), expected_.tokens.rend());
  const LogitRows whole_reversed = Run(reversed, {length_});

  Slot parent = pool_->Acquire();
  const Slot child = pool_->Acquire();
  const Slot other = pool_->Acquire();
  LogitRows rows;
  LogitRows rows_reversed;
  Batch first;  // all but three tokens of the first into `parent`, one of the second
  first.token_ids.assign(expected_.tokens.begin(), expected_.tokens.end() - 3);
  first.token_ids.push_back(reversed[0]);
  first.segments = {{0, length_ - 3, parent.index(), parent.index(), 0},
                    {length_ - 3, 1, other.index(), other.index(), 0}};
  first.logit_rows = {0, length_ - 4, length_ - 3};
  model_->Forward(first, *pool_);
  testing::AppendLogits(*model_, *pool_, 3, &rows);
  rows_reversed.push_back(rows.back());
  rows.pop_back();
  ExpectSame(rows, {whole[0], whole[static_cast<size_t>(length_) - 4]});

  Batch second;  // the rest of both, the first's from `parent` into `child`
  second.token_ids.assign(reversed.begin() + 1, reversed.end());
  second.token_ids.insert(second.token_ids.end(), expected_.tokens.end() - 3,
                          expected_.tokens.end());
  second.segments = {{0, length_ - 1, other.index(), other.index(), 1},
                     {length_ - 1, 3, parent.index(), child.index(), length_ - 3}};
  second.logit_rows = {length_ - 2, length_ - 1, length_ + 1};
  model_->Forward(second, *pool_);
  rows.clear();
  testing::AppendLogits(*model_, *pool_, 3, &rows);
  const auto last = static_cast<size_t>(length_) - 1;
  ExpectSame(rows, {whole_reversed[last], whole[last - 2], whole[last]});
  ExpectSame(rows_reversed, {whole_reversed[0]});
}

// The head's product with them, in double and by the file's own weights, are float64's logits.
TEST_P(GoldenOnCpu, HiddenVectorsAreWhatTheHeadReads) {
  ASSERT_NO_FATAL_FAILURE(Load(kernels::WeightFormat::kF32));
  const testing::HeadWeights head(Folder(std::get<0>(GetParam())));
  RunInSegments(*model_, *pool_, expected_.tokens, {length_});
  const auto width = static_cast<size_t>(model_->info().d_model);
  std::vector<float> hidden(static_cast<size_t>(length_) * width);
  model_->Hidden(0, length_, hidden.data());
  LogitRows logits;
  for (size_t at = 0; at < hidden.size(); at += width) {
    const std::vector<double> row = head.Logits(&hidden[at]);
    logits.emplace_back(row.begin(), row.end());
  }
  EXPECT_LT(Distance(logits, expected_.logits), kTolerance);
}

TEST_P(Golden, DependsOnNoNumberOfThreads) {
  ASSERT_NO_FATAL_FAILURE(Load(kernels::WeightFormat::kBf16));
  const LogitRows two = Run(expected_.tokens, {length_});
  device_ = Reset(MakeDevice(std::get<1>(GetParam()), 3));
  ASSERT_NO_FATAL_FAILURE(Load(kernels::WeightFormat::kBf16));
  ExpectSame(Run(expected_.tokens, {length_}), two);
}

// Every case on every device. An emulated GPU takes long, and what it has of its own for most
// families are their scans, whose bits unit tests compare: these go once, with fast products.
std::vector<std::tuple<std::string, std::string>> CasesOn(const std::vector<std::string>& devices,
                                                          bool all_families) {
  std::vector<std::tuple<std::string, std::string>> cases;
  for (const char* name : kCases) {
    const absl::string_view view = name;
    const bool skimmed = absl::StartsWith(view, "family_") && view != "family_hybrid_f16" &&
                         view != "family_s4" && view != "family_rwkv4";
    for (const std::string& device : devices) {
      if (skimmed && (device == "cuda_plain" || (device == "cuda" && !all_families))) continue;
      cases.emplace_back(name, device);
    }
  }
  return cases;
}

std::string NameOf(const ::testing::TestParamInfo<std::tuple<std::string, std::string>>& test) {
  return std::get<0>(test.param) + "_on_" + std::get<1>(test.param);
}

INSTANTIATE_TEST_SUITE_P(All, GoldenOnCpu, ::testing::ValuesIn(CasesOn(CpuNames(), false)), NameOf);
INSTANTIATE_TEST_SUITE_P(All, Golden, ::testing::ValuesIn(CasesOn(DeviceNames(), true)), NameOf);

// What the data must be able to show: that the tests above would notice a part left out.
class GoldenData
    : public ::testing::TestWithParam<std::tuple<std::string, std::string, std::string>> {};

// Each row changes config.json so that it still fits the tensors, but computes something else.
TEST_P(GoldenData, NoticesAChangedConfiguration) {
  const auto& [name, from, to] = GetParam();
  const fs::path folder =
      fs::path(::testing::TempDir()) / ("golden_" + name + "_" + std::to_string(getpid()));
  fs::create_directories(folder);
  fs::copy(Folder(name), folder,
           fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  std::ifstream in(folder / "config.json");
  std::string config((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  in.close();
  ASSERT_NE(config.find(from), std::string::npos);
  config.replace(config.find(from), from.size(), to);
  std::ofstream(folder / "config.json") << config;

  const auto device = kernels::MakeReferenceDevice();
  const auto model = LoadLanguageModel(folder, ModelLoadOptions(), device.get());
  ASSERT_TRUE(model.ok()) << model.status();
  const auto pool = StatePool::Create(device.get(), (*model)->state_layout(), 1);
  const Expected expected = ReadExpectedOf(name);
  const LogitRows rows =
      RunInSegments(**model, **pool, expected.tokens, {static_cast<int>(expected.tokens.size())});
  EXPECT_GT(Distance(rows, expected.logits), 0.05);
  fs::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(
    Parts, GoldenData,
    ::testing::Values(
        std::tuple("falcon", "\"falcon_mamba\"", "\"mamba\""),
        std::tuple("falcon_odd", "\"mixer_rms_eps\": 0.3", "\"mixer_rms_eps\": 1e-6"),
        std::tuple("mamba_odd", "\"layer_norm_epsilon\": 0.02", "\"layer_norm_epsilon\": 1e-5"),
        std::tuple("mamba2_odd", "    0.1,", "    0.0,"),
        std::tuple("mamba2_odd", "    0.5", "    9.5"),
        std::tuple("mamba2_odd", "\"layer_norm_epsilon\": 0.02", "\"layer_norm_epsilon\": 1e-5"),
        std::tuple("mamba2_norm_first", "\"norm_before_gate\": true",
                   "\"norm_before_gate\": false"),
        std::tuple("mamba2_norm_first", "0.05", "0.0")),
    [](const auto& test) { return std::get<0>(test.param) + "_" + std::to_string(test.index); });

}  // namespace
}  // namespace ssmd
