// Mamba-2's part of config.json in its three spellings.
#include "engine/models/mixers/mamba2_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "engine/base/status_macros.h"
#include "engine/models/registry.h"
#include "tests/unit/models/config_members.h"

namespace ssmd {
namespace {

using ::testing::HasSubstr;
using testing::Members;
using testing::ToJson;

Members Changed(Members members, const Members& changes) {
  for (const auto& [key, value] : changes) members[key] = value;
  return members;
}

Members HuggingFaceMamba2(const Members& changes) {
  return Changed({{"model_type", "\"mamba2\""},
                  {"hidden_size", "40"},
                  {"num_hidden_layers", "3"},
                  {"vocab_size", "100"},
                  {"num_heads", "8"},
                  {"head_dim", "10"},
                  {"n_groups", "2"},
                  {"state_size", "16"},
                  {"conv_kernel", "4"}},
                 changes);
}

Members OriginalMamba2(const std::string& ssm, const Members& changes = {}) {
  return Changed({{"d_model", "64"},
                  {"n_layer", "3"},
                  {"vocab_size", "100"},
                  {"ssm_cfg", "{\"layer\": \"Mamba2\"" + ssm + "}"}},
                 changes);
}

Members MistralMamba2(const Members& changes) {
  return Changed({{"dim", "64"},
                  {"n_layers", "3"},
                  {"vocab_size", "100"},
                  {"n_groups", "2"},
                  {"rms_norm", "true"},
                  {"residual_in_fp32", "true"},
                  {"fused_add_norm", "true"},
                  {"pad_vocab_size_multiple", "1"},
                  {"tie_embeddings", "false"},
                  {"model_type", "\"mamba\""}},
                 changes);
}

struct ParsedMamba2 {
  ModelConfig model;
  Mamba2Config mamba;
};

// The whole of config.json, as loading reads it.
absl::StatusOr<ParsedMamba2> ParseAll(const Members& members) {
  const JsonDocument document = ToJson(members);
  const ConfigObject root(document.root(), "config.json: ");
  ParsedMamba2 parsed;
  SSMD_ASSIGN_OR_RETURN(parsed.model, ParseModelConfig(root));
  SSMD_RETURN_IF_ERROR(PlanStack(parsed.model, root).status());
  SSMD_ASSIGN_OR_RETURN(parsed.mamba, ParseMamba2Config(parsed.model, root));
  return parsed;
}

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

TEST(Mamba2Config, ReadsTheHuggingFaceSpelling) {
  const auto parsed = ParseAll(HuggingFaceMamba2({{"intermediate_size", "80"},
                                                  {"layer_norm_epsilon", "1e-6"},
                                                  {"rms_norm", "true"},
                                                  {"chunk_size", "256"},
                                                  {"use_bias", "true"},
                                                  {"use_conv_bias", "false"},
                                                  {"time_step_limit", "[0.25, 4]"},
                                                  {"tie_word_embeddings", "false"}}));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->model.architecture, "mamba2");
  EXPECT_EQ(parsed->model.tied_head, false);
  EXPECT_EQ(parsed->mamba.heads, 8);
  EXPECT_EQ(parsed->mamba.head_dim, 10);
  EXPECT_EQ(parsed->mamba.groups, 2);
  EXPECT_EQ(parsed->mamba.state_size, 16);
  EXPECT_EQ(parsed->mamba.conv_width, 4);
  EXPECT_EQ(parsed->mamba.conv_channels(), 80 + 2 * 2 * 16);
  EXPECT_EQ(parsed->mamba.projection(), 2 * 80 + 2 * 2 * 16 + 8);
  EXPECT_EQ(parsed->mamba.norm_eps, 1e-6);
  EXPECT_EQ(parsed->mamba.dt_min, 0.25);
  EXPECT_EQ(parsed->mamba.dt_max, 4);
  EXPECT_EQ(parsed->mamba.gate_order, kernels::GateOrder::kGateFirst);
  EXPECT_FALSE(parsed->mamba.d_per_channel);
  EXPECT_EQ(parsed->mamba.bias, true);
  EXPECT_EQ(parsed->mamba.conv_bias, false);
}

TEST(Mamba2Config, TakesInfinityAsPythonWritesIt) {
  for (const char* limit : {"", "null", "[0.0, Infinity]", R"([0.0, {"__float__": "Infinity"}])"}) {
    const auto parsed = ParseAll(HuggingFaceMamba2({{"time_step_limit", limit}}));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->mamba.dt_min, 0) << limit;
    EXPECT_EQ(parsed->mamba.dt_max, kNoLimit) << limit;
  }
}

// Files of the first release of Hugging Face's class say true, and mean false.
TEST(Mamba2Config, GatesFirstWhateverAHuggingFaceFileSays) {
  const auto parsed = ParseAll(HuggingFaceMamba2({{"norm_before_gate", "true"}}));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->mamba.gate_order, kernels::GateOrder::kGateFirst);
}

TEST(Mamba2Config, KnowsTheOriginalDefaults) {
  const auto parsed = ParseAll(OriginalMamba2(""));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->model.architecture, "mamba2");
  EXPECT_EQ(parsed->model.vocabulary, 104);
  EXPECT_EQ(parsed->mamba.heads, 2);
  EXPECT_EQ(parsed->mamba.head_dim, 64);
  EXPECT_EQ(parsed->mamba.groups, 1);
  EXPECT_EQ(parsed->mamba.state_size, 128);
  EXPECT_EQ(parsed->mamba.conv_width, 4);
  EXPECT_EQ(parsed->mamba.norm_eps, 1e-5);
  EXPECT_EQ(parsed->mamba.gate_order, kernels::GateOrder::kGateFirst);
  EXPECT_EQ(parsed->mamba.dt_max, kNoLimit);
  EXPECT_EQ(parsed->mamba.bias, std::nullopt);
}

TEST(Mamba2Config, ReadsTheOriginalSpelling) {
  const auto parsed = ParseAll(OriginalMamba2(
      R"(, "d_state": 8, "d_conv": 3, "expand": 3, "headdim": 24, "ngroups": 4, "d_ssm": 192,
         "D_has_hdim": true, "norm_before_gate": true, "dt_limit": [0.001, 0.5], "bias": true,
         "conv_bias": false, "A_init_range": [1, 16], "dt_min": 0.001, "chunk_size": 64,
         "use_mem_eff_path": true)"));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->mamba.heads, 8);
  EXPECT_EQ(parsed->mamba.head_dim, 24);
  EXPECT_EQ(parsed->mamba.groups, 4);
  EXPECT_EQ(parsed->mamba.state_size, 8);
  EXPECT_EQ(parsed->mamba.conv_width, 3);
  EXPECT_EQ(parsed->mamba.gate_order, kernels::GateOrder::kNormFirst);
  EXPECT_TRUE(parsed->mamba.d_per_channel);
  EXPECT_EQ(parsed->mamba.dt_min, 0.001);
  EXPECT_EQ(parsed->mamba.dt_max, 0.5);
  EXPECT_EQ(parsed->mamba.bias, true);
  EXPECT_EQ(parsed->mamba.conv_bias, false);

  const auto plain = ParseAll(OriginalMamba2(R"(, "rmsnorm": false, "norm_before_gate": true)"));
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(plain->mamba.gate_order, kernels::GateOrder::kGateOnly);
}

TEST(Mamba2Config, ReadsTheSpellingOfMistral) {
  const auto parsed = ParseAll(MistralMamba2({}));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->model.architecture, "mamba2");
  EXPECT_EQ(parsed->model.d_model, 64);
  EXPECT_EQ(parsed->model.layers, 3);
  EXPECT_EQ(parsed->model.vocabulary, 100);
  EXPECT_EQ(parsed->model.norm_eps, 1e-5);
  EXPECT_EQ(parsed->model.tied_head, false);
  EXPECT_EQ(parsed->mamba.heads, 2);
  EXPECT_EQ(parsed->mamba.head_dim, 64);
  EXPECT_EQ(parsed->mamba.groups, 2);
  EXPECT_EQ(parsed->mamba.state_size, 128);
}

TEST(Mamba2Config, DescribesTheModelAndNotItsSpelling) {
  const auto describe = [](const Members& members) {
    const ParsedMamba2 parsed = *ParseAll(members);
    return parsed.model.Describe() + parsed.mamba.Describe();
  };
  EXPECT_EQ(describe(MistralMamba2({})),
            describe(OriginalMamba2(R"(, "ngroups": 2)", {{"pad_vocab_size_multiple", "1"}})));
  const std::string base = describe(OriginalMamba2(""));
  for (const char* change : {R"(, "d_state": 64)", R"(, "d_conv": 3)", R"(, "expand": 3)",
                             R"(, "headdim": 32)", R"(, "ngroups": 2)", R"(, "D_has_hdim": true)",
                             R"(, "rmsnorm": false)", R"(, "norm_before_gate": true)",
                             R"(, "dt_limit": [0, 1])", R"(, "dt_limit": [0.1, 1e9])"}) {
    EXPECT_NE(describe(OriginalMamba2(change)), base) << change;
  }
  EXPECT_NE(describe(HuggingFaceMamba2({{"layer_norm_epsilon", "1e-6"}})),
            describe(HuggingFaceMamba2({})));
}

struct BadMamba2 {
  const char* name;
  Members members;
  const char* error;
};

class Mamba2ConfigRefuses : public ::testing::TestWithParam<BadMamba2> {};

TEST_P(Mamba2ConfigRefuses, NamingTheMember) {
  const auto parsed = ParseAll(GetParam().members);
  ASSERT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(GetParam().error));
  EXPECT_THAT(std::string(parsed.status().message()), ::testing::StartsWith("config.json: "));
}

INSTANTIATE_TEST_SUITE_P(
    HuggingFaceSpelling, Mamba2ConfigRefuses,
    ::testing::Values(
        BadMamba2{"NoHeads", HuggingFaceMamba2({{"num_heads", ""}}), "num_heads is missing"},
        BadMamba2{"NoHeadDim", HuggingFaceMamba2({{"head_dim", ""}}), "head_dim is missing"},
        BadMamba2{"NoGroups", HuggingFaceMamba2({{"n_groups", ""}}), "n_groups is missing"},
        BadMamba2{"NoState", HuggingFaceMamba2({{"state_size", ""}}), "state_size is missing"},
        BadMamba2{"NoConv", HuggingFaceMamba2({{"conv_kernel", ""}}), "conv_kernel is missing"},
        BadMamba2{"HugeHeads", HuggingFaceMamba2({{"num_heads", "262145"}}), "num_heads must be"},
        BadMamba2{"HugeProduct",
                  HuggingFaceMamba2({{"num_heads", "262144"}, {"head_dim", "262144"}}),
                  "num_heads times head_dim is 68719476736, but"},
        BadMamba2{"OtherWidth", HuggingFaceMamba2({{"head_dim", "11"}}),
                  "num_heads times head_dim is 88, but intermediate_size or expand gives a width "
                  "of 80"},
        BadMamba2{"GroupsThatDoNotDivide", HuggingFaceMamba2({{"n_groups", "3"}}),
                  "n_groups must divide the number of heads, 8, got 3"},
        BadMamba2{"MoreGroupsThanHeads", HuggingFaceMamba2({{"n_groups", "16"}}), "got 16"},
        BadMamba2{"HugeGroups",
                  HuggingFaceMamba2({{"num_heads", "2048"},
                                     {"head_dim", "1"},
                                     {"intermediate_size", "2048"},
                                     {"n_groups", "2048"},
                                     {"state_size", "256"}}),
                  "n_groups times the state size is 524288, more than 262144"},
        BadMamba2{"HugeState", HuggingFaceMamba2({{"state_size", "257"}}), "got 257"},
        BadMamba2{"HugeConv", HuggingFaceMamba2({{"conv_kernel", "65"}}), "got 65"},
        BadMamba2{"LimitNotAPair", HuggingFaceMamba2({{"time_step_limit", "[0]"}}),
                  "time_step_limit must be [low, high] with 0 <= low <= high"},
        BadMamba2{"LimitNotAList", HuggingFaceMamba2({{"time_step_limit", "1"}}), "got 1"},
        BadMamba2{"NegativeLimit", HuggingFaceMamba2({{"time_step_limit", "[-1, 1]"}}),
                  "time_step_limit"},
        BadMamba2{"LimitsSwapped", HuggingFaceMamba2({{"time_step_limit", "[2, 1]"}}),
                  "time_step_limit"},
        BadMamba2{"NanLimit", HuggingFaceMamba2({{"time_step_limit", "[0, NaN]"}}),
                  "time_step_limit"},
        BadMamba2{"InfiniteLowerLimit",
                  HuggingFaceMamba2({{"time_step_limit", "[Infinity, Infinity]"}}),
                  "time_step_limit"},
        BadMamba2{"WordLimit",
                  HuggingFaceMamba2({{"time_step_limit", R"([0, {"__float__": "NaN"}])"}}),
                  "time_step_limit"},
        BadMamba2{"LayerNorm", HuggingFaceMamba2({{"rms_norm", "false"}}), "LayerNorm"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    OtherSpellings, Mamba2ConfigRefuses,
    ::testing::Values(
        BadMamba2{"UnknownOption", OriginalMamba2(R"(, "d_sate": 8)"),
                  "ssm_cfg.d_sate is not known here; these are: "},
        BadMamba2{"OptionOfMamba1", OriginalMamba2(R"(, "dt_rank": 8)"),
                  "ssm_cfg.dt_rank is not known here; these are: "},
        BadMamba2{"MlpInTheLayer", OriginalMamba2(R"(, "d_ssm": 64)"),
                  "ssm_cfg.d_ssm is 64 of 128 channels: an MLP"},
        BadMamba2{"Mlp", OriginalMamba2("", {{"d_intermediate", "64"}}), "MLP layers"},
        BadMamba2{"Attention", OriginalMamba2("", {{"attn_layer_idx", "[1]"}}), "attention layers"},
        BadMamba2{"HeadsThatDoNotFit", OriginalMamba2(R"(, "headdim": 60)"),
                  "ssm_cfg.headdim must divide the inner width, 128, got 60"},
        BadMamba2{"GroupsThatDoNotDivideOriginal", OriginalMamba2(R"(, "ngroups": 4)"),
                  "ssm_cfg.ngroups must divide the number of heads, 2, got 4"},
        BadMamba2{"BadLimit", OriginalMamba2(R"(, "dt_limit": [1, 0])"), "ssm_cfg.dt_limit must"},
        BadMamba2{"MistralTransformer", MistralMamba2({{"model_type", ""}}),
                  "model_type must be \"mamba\" in a file of this spelling (with dim), got "
                  "\"transformer\""},
        BadMamba2{"MistralNoGroups", MistralMamba2({{"n_groups", ""}}), "n_groups is missing"},
        BadMamba2{"MistralNoLayers", MistralMamba2({{"n_layers", ""}}), "n_layers is missing"},
        BadMamba2{"MistralGroups", MistralMamba2({{"n_groups", "5"}}), "n_groups must divide"}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace ssmd
