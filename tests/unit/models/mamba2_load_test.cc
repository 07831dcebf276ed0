// Loading of folders with Mamba-2 layers: names, shapes, values, and Mistral's files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/models/language_model.h"
#include "kernels/device.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_model.h"
#include "tests/support/tiny_model.h"

namespace ssmd {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TinyModel;

// d_model 4, 3 heads of 2, state 3, conv width 2, vocabulary 7, 2 layers, tied, f32.
TinyModel TinyMamba2() {
  TinyModel tiny;
  tiny.config = {{"model_type", "\"mamba2\""}, {"hidden_size", "4"}, {"num_hidden_layers", "2"},
                 {"vocab_size", "7"},          {"num_heads", "3"},   {"head_dim", "2"},
                 {"intermediate_size", "6"},   {"n_groups", "1"},    {"state_size", "3"},
                 {"conv_kernel", "2"}};
  tiny.tensors.clear();
  tiny.Add("backbone.embeddings.weight", {7, 4});
  for (const char* layer : {"backbone.layers.0.", "backbone.layers.1."}) {
    const std::string mixer = absl::StrCat(layer, "mixer.");
    tiny.Add(absl::StrCat(layer, "norm.weight"), {4});
    tiny.Add(mixer + "in_proj.weight", {21, 4});
    tiny.Add(mixer + "conv1d.weight", {12, 1, 2});
    tiny.Add(mixer + "conv1d.bias", {12});
    tiny.Add(mixer + "dt_bias", {3});
    tiny.Add(mixer + "A_log", {3});
    tiny.Add(mixer + "D", {3});
    tiny.Add(mixer + "norm.weight", {6});
    tiny.Add(mixer + "out_proj.weight", {4, 6});
  }
  tiny.Add("backbone.norm_f.weight", {4});
  return tiny;
}

class Mamba2LoadTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<LanguageModel>> Load(const TinyModel& model) {
    model.Write(folder_);
    return LoadLanguageModel(folder_.path(), ModelLoadOptions(), device_.get());
  }
  std::string LoadError(const TinyModel& model) {
    const auto loaded = Load(model);
    EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument) << loaded.status();
    return std::string(loaded.status().message());
  }
  std::vector<float> LogitsOf(const TinyModel& tiny) {
    const auto model = Load(tiny);
    EXPECT_TRUE(model.ok()) << model.status();
    const auto pool = StatePool::Create(device_.get(), (*model)->state_layout(), 1);
    return testing::RunInSegments(**model, **pool, {1, 2, 3}, {3}).back();
  }

  const testing::TempFolder folder_;
  const std::unique_ptr<kernels::Device> device_ = kernels::MakeReferenceDevice();
};

TEST_F(Mamba2LoadTest, DeclaresTheStateOfEveryLayer) {
  const auto model = Load(TinyMamba2());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->info().architecture, "mamba2");
  const StateLayout& layout = (*model)->state_layout();
  ASSERT_EQ(layout.fields().size(), 4u);
  EXPECT_EQ(layout.fields()[2].layer, 1);
  EXPECT_EQ(layout.fields()[2].name, "conv");
  EXPECT_THAT(layout.fields()[2].shape, ElementsAre(1, 12));
  EXPECT_EQ(layout.fields()[3].name, "ssm");
  EXPECT_THAT(layout.fields()[3].shape, ElementsAre(3, 3, 16));
}

TEST_F(Mamba2LoadTest, TakesPromptsInChunksIfAskedTo) {
  const auto exact = Load(TinyMamba2());
  ASSERT_TRUE(exact.ok()) << exact.status();
  EXPECT_EQ((*exact)->info().chunk_tokens, 0);
  for (const Prefill prefill : {Prefill::kChunked, Prefill::kFast}) {
    ModelLoadOptions options;
    options.prefill = prefill;
    const auto chunked = LoadLanguageModel(folder_.path(), options, device_.get());
    ASSERT_TRUE(chunked.ok()) << chunked.status();
    EXPECT_EQ((*chunked)->info().chunk_tokens, kernels::kSsdChunkTokens);
    EXPECT_EQ((*chunked)->info().fingerprint, (*exact)->info().fingerprint);
  }
}

TEST_F(Mamba2LoadTest, NamesEveryTensorThatDoesNotFit) {
  TinyModel tiny = TinyMamba2();
  tiny.tensors.erase("backbone.layers.1.mixer.norm.weight");
  tiny.tensors.erase("backbone.layers.0.mixer.A_log");
  tiny.Add("backbone.layers.0.mixer.D", {6});
  tiny.Add("backbone.layers.0.mixer.in_proj.weight", {18, 4});
  tiny.Add("backbone.layers.1.mixer.x_proj.weight", {7, 6});
  EXPECT_THAT(
      LoadError(tiny),
      AllOf(HasSubstr("in 5 tensors"),
            HasSubstr("\"backbone.layers.1.mixer.norm.weight\" is missing (expected shape [6])"),
            HasSubstr("\"backbone.layers.0.mixer.A_log\" is missing (expected shape [3])"),
            HasSubstr("\"backbone.layers.0.mixer.D\" has shape [6], expected [3]"),
            HasSubstr("in_proj.weight\" has shape [18, 4], expected [21, 4]"),
            HasSubstr("\"backbone.layers.1.mixer.x_proj.weight\" is surplus")));
}

TEST_F(Mamba2LoadTest, TakesBiasesWhereTheFileHasThem) {
  TinyModel tiny = TinyMamba2();
  const std::vector<float> without = LogitsOf(tiny);
  for (const char* mixer : {"backbone.layers.0.mixer.", "backbone.layers.1.mixer."}) {
    tiny.Add(absl::StrCat(mixer, "in_proj.bias"), {21});
    tiny.Add(absl::StrCat(mixer, "out_proj.bias"), {4});
  }
  EXPECT_NE(LogitsOf(tiny), without);
  tiny.config["use_bias"] = "false";
  EXPECT_THAT(LoadError(tiny), HasSubstr("\"backbone.layers.0.mixer.in_proj.bias\" is surplus"));
}

// Rates as they are, instead of their logarithms.
TinyModel WithRates(TinyModel tiny, float factor) {
  for (const char* mixer : {"backbone.layers.0.mixer.", "backbone.layers.1.mixer."}) {
    const std::string bytes = tiny.tensors.extract(absl::StrCat(mixer, "A_log")).mapped().bytes;
    std::vector<float> rates(bytes.size() / sizeof(float));
    std::memcpy(rates.data(), bytes.data(), bytes.size());
    for (float& rate : rates) rate = factor * static_cast<float>(std::exp(double{rate}));
    tiny.tensors[absl::StrCat(mixer, "A")] = testing::F32Tensor({3}, rates);
  }
  return tiny;
}

TEST_F(Mamba2LoadTest, TakesDecayRatesAsTheyAreOrTheirLogarithms) {
  EXPECT_EQ(LogitsOf(WithRates(TinyMamba2(), -1)), LogitsOf(TinyMamba2()));
  EXPECT_THAT(LoadError(WithRates(TinyMamba2(), 1)),
              HasSubstr("\"backbone.layers.0.mixer.A\" is above 0 at index 0"));
}

TEST_F(Mamba2LoadTest, RefusesADecayThatOverflows) {
  TinyModel tiny = TinyMamba2();
  tiny.tensors["backbone.layers.0.mixer.A_log"] = testing::F32Tensor({3}, {0, 90, 0});
  EXPECT_THAT(LoadError(tiny), AllOf(HasSubstr("exp of backbone.layers.0.mixer.A_log"),
                                     HasSubstr("not finite at index 1")));
}

TEST_F(Mamba2LoadTest, TakesNamesThatMistralPrefixed) {
  const TinyModel tiny = TinyMamba2();
  TinyModel prefixed = tiny;
  prefixed.tensors.clear();
  for (const auto& [name, tensor] : tiny.tensors) prefixed.tensors["model." + name] = tensor;
  EXPECT_EQ(LogitsOf(prefixed), LogitsOf(tiny));

  prefixed.Add("model.lm_head.weight", {7, 4});
  EXPECT_NE(LogitsOf(prefixed), LogitsOf(tiny));
  prefixed.tensors.erase("model.backbone.layers.0.mixer.D");
  EXPECT_THAT(LoadError(prefixed), HasSubstr("\"model.backbone.layers.0.mixer.D\" is missing"));
}

TEST_F(Mamba2LoadTest, ReadsParamsJsonWhereThereIsNoConfigJson) {
  const auto message = [&] {
    const auto loaded = LoadLanguageModel(folder_.path(), ModelLoadOptions(), device_.get());
    return std::string(loaded.status().message());
  };
  EXPECT_THAT(message(), HasSubstr("config.json"));
  folder_.Write("params.json", R"({"dim": 4})");
  EXPECT_THAT(message(), ::testing::StartsWith("params.json: model_type must be \"mamba\""));
  folder_.Write("params.json", "{");
  EXPECT_THAT(message(), ::testing::StartsWith("params.json: "));
  TinyMamba2().Write(folder_);
  EXPECT_EQ(message(), "") << "config.json wins";
}

TEST_F(Mamba2LoadTest, FingerprintsWhatChangesALogit) {
  const auto fingerprint = [&](const TinyModel& model) {
    return (*Load(model))->info().fingerprint;
  };
  TinyModel changed = TinyMamba2();
  const std::string expected = fingerprint(changed);
  changed.config["chunk_size"] = "64";
  changed.config["time_step_limit"] = "[0, Infinity]";
  EXPECT_EQ(fingerprint(changed), expected);
  changed.config["time_step_limit"] = "[0, 1]";
  EXPECT_NE(fingerprint(changed), expected);
}

}  // namespace
}  // namespace ssmd
