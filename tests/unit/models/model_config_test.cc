#include "engine/models/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/base/status_macros.h"
#include "engine/models/mixers/mamba_config.h"
#include "engine/models/registry.h"
#include "tests/unit/models/config_members.h"

namespace ssmd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Members;
using testing::ToJson;

Members HuggingFace(const Members& changes) {
  Members members = {{"model_type", "\"mamba\""}, {"hidden_size", "40"}, {"num_hidden_layers", "3"},
                     {"vocab_size", "100"},       {"state_size", "16"},  {"conv_kernel", "4"}};
  for (const auto& [key, value] : changes) members[key] = value;
  return members;
}

Members Original(const Members& changes) {
  Members members = {{"d_model", "40"}, {"n_layer", "3"}, {"vocab_size", "100"}};
  for (const auto& [key, value] : changes) members[key] = value;
  return members;
}

struct Parsed {
  ModelConfig model;
  MambaConfig mamba;
};

// The whole of config.json, as loading reads it.
absl::StatusOr<Parsed> Parse(const Members& members) {
  const JsonDocument document = ToJson(members);
  const ConfigObject root(document.root(), "config.json: ");
  Parsed parsed;
  SSMD_ASSIGN_OR_RETURN(parsed.model, ParseModelConfig(root));
  SSMD_RETURN_IF_ERROR(PlanStack(parsed.model, root).status());
  SSMD_ASSIGN_OR_RETURN(
      parsed.mamba,
      ParseMambaConfig(parsed.model, root, parsed.model.architecture == "falcon_mamba"));
  return parsed;
}

TEST(ModelConfig, ReadsTheHuggingFaceSpelling) {
  const auto parsed = Parse(HuggingFace({{"intermediate_size", "90"},
                                         {"expand", "2"},
                                         {"time_step_rank", "7"},
                                         {"layer_norm_epsilon", "1e-6"},
                                         {"use_bias", "true"},
                                         {"use_conv_bias", "false"},
                                         {"tie_word_embeddings", "false"},
                                         {"time_step_limit", "[0.0, Infinity]"},
                                         {"bos_token_id", "1"},
                                         {"eos_token_id", "[2, 3]"}}));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->model.architecture, "mamba");
  EXPECT_EQ(parsed->model.d_model, 40);
  EXPECT_EQ(parsed->model.layers, 3);
  EXPECT_EQ(parsed->model.vocabulary, 100);
  EXPECT_EQ(parsed->model.norm_eps, 1e-6);
  EXPECT_EQ(parsed->model.tied_head, false);
  EXPECT_EQ(parsed->model.bos_token_id, 1);
  EXPECT_THAT(parsed->model.eos_token_ids, ElementsAre(2, 3));
  EXPECT_THAT(parsed->model.warnings, IsEmpty());
  EXPECT_EQ(parsed->mamba.d_inner, 90);
  EXPECT_EQ(parsed->mamba.state_size, 16);
  EXPECT_EQ(parsed->mamba.conv_width, 4);
  EXPECT_EQ(parsed->mamba.dt_rank, 7);
  EXPECT_EQ(parsed->mamba.bias, true);
  EXPECT_EQ(parsed->mamba.conv_bias, false);
  EXPECT_EQ(parsed->mamba.dt_bc_norm_eps, std::nullopt);
}

TEST(ModelConfig, DerivesWhatTheFileLeavesOut) {
  const auto parsed = Parse(HuggingFace({{"time_step_rank", "\"auto\""}, {"expand", "null"}}));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->mamba.d_inner, 80);
  EXPECT_EQ(parsed->mamba.dt_rank, 3);  // ceil(40 / 16)
  EXPECT_EQ(parsed->model.norm_eps, 1e-5);
  EXPECT_EQ(parsed->model.tied_head, std::nullopt);
  EXPECT_EQ(parsed->mamba.bias, std::nullopt);
  EXPECT_EQ(parsed->model.bos_token_id, std::nullopt);
  EXPECT_TRUE(parsed->model.eos_token_ids.empty());
}

TEST(ModelConfig, ReadsFalconMambaNormEpsilon) {
  const auto named =
      Parse(HuggingFace({{"model_type", "\"falcon_mamba\""}, {"mixer_rms_eps", "0.5"}}));
  ASSERT_TRUE(named.ok()) << named.status();
  EXPECT_EQ(named->mamba.dt_bc_norm_eps, 0.5);
  const auto unnamed = Parse(HuggingFace({{"model_type", "\"falcon_mamba\""}}));
  EXPECT_EQ(unnamed->mamba.dt_bc_norm_eps, 1e-6);
}

TEST(ModelConfig, ReadsTheOriginalSpelling) {
  const auto parsed = Parse(Original({{"ssm_cfg", R"({"d_state": 8, "d_conv": 3, "expand": 3,
                                                      "dt_rank": 5, "bias": true,
                                                      "conv_bias": false, "dt_min": 0.001})"},
                                      {"pad_vocab_size_multiple", "16"},
                                      {"attn_layer_idx", "[]"},
                                      {"attn_cfg", "{}"},
                                      {"rms_norm", "true"},
                                      {"residual_in_fp32", "true"},
                                      {"fused_add_norm", "true"},
                                      {"tie_embeddings", "false"}}));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->model.architecture, "mamba");
  EXPECT_EQ(parsed->model.vocabulary, 112);
  EXPECT_EQ(parsed->model.norm_eps, 1e-5);
  EXPECT_EQ(parsed->model.tied_head, false);
  EXPECT_EQ(parsed->mamba.d_inner, 120);
  EXPECT_EQ(parsed->mamba.state_size, 8);
  EXPECT_EQ(parsed->mamba.conv_width, 3);
  EXPECT_EQ(parsed->mamba.dt_rank, 5);
  EXPECT_EQ(parsed->mamba.bias, true);
  EXPECT_EQ(parsed->mamba.conv_bias, false);
}

TEST(ModelConfig, KnowsTheOriginalDefaults) {
  for (const char* ssm : {"", "{}", "null", R"({"layer": "Mamba1"})"}) {
    const auto parsed = Parse(Original({{"ssm_cfg", ssm}}));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->model.vocabulary, 104);  // padded to a multiple of 8
    EXPECT_EQ(parsed->mamba.d_inner, 80);
    EXPECT_EQ(parsed->mamba.state_size, 16);
    EXPECT_EQ(parsed->mamba.conv_width, 4);
    EXPECT_EQ(parsed->mamba.dt_rank, 3);
  }
}

TEST(ModelConfig, DropsTokenIdsBeyondTheVocabularyWithAWarning) {
  const auto parsed =
      Parse(HuggingFace({{"bos_token_id", "100"}, {"eos_token_id", "[-1, 99, 100]"}}));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->model.bos_token_id, std::nullopt);
  EXPECT_THAT(parsed->model.eos_token_ids, ElementsAre(99));
  EXPECT_THAT(parsed->model.warnings,
              ElementsAre(HasSubstr("config.json: bos_token_id 100 is ignored"),
                          HasSubstr("config.json: eos_token_id -1 is ignored"),
                          HasSubstr("config.json: eos_token_id 100 is ignored")));
}

TEST(ModelConfig, LetsGenerationConfigNameTheStopTokens) {
  ModelConfig config = Parse(HuggingFace({{"eos_token_id", "5"}}))->model;
  const auto parse = [&](const Members& members) {
    const JsonDocument document = ToJson(members);
    return ParseGenerationConfig(ConfigObject(document.root(), "generation_config.json: "),
                                 &config);
  };
  EXPECT_TRUE(parse({{"bos_token_id", "1"}}).ok());
  EXPECT_THAT(config.eos_token_ids, ElementsAre(5));
  EXPECT_TRUE(parse({{"eos_token_id", "[7, 8]"}}).ok());
  EXPECT_THAT(config.eos_token_ids, ElementsAre(7, 8));
  EXPECT_TRUE(parse({{"eos_token_id", "[9, 100]"}}).ok());
  EXPECT_THAT(config.eos_token_ids, ElementsAre(9));
  EXPECT_THAT(config.warnings,
              ElementsAre(HasSubstr("generation_config.json: eos_token_id 100 is ignored")));
  EXPECT_THAT(std::string(parse({{"eos_token_id", "\"</s>\""}}).message()),
              HasSubstr("generation_config.json: eos_token_id must be a token id, got \"</s>\""));
}

TEST(ModelConfig, DescribesAllThatChangesALogit) {
  const Members base = HuggingFace({{"model_type", "\"falcon_mamba\""}});
  const auto describe = [](const Members& members) {
    const Parsed parsed = *Parse(members);
    return parsed.model.Describe() + parsed.mamba.Describe();
  };
  Members same = base;
  same["bos_token_id"] = "1";
  EXPECT_EQ(describe(same), describe(base));
  for (const auto& [key, value] : Members{{"model_type", "\"mamba\""},
                                          {"hidden_size", "48"},
                                          {"vocab_size", "99"},
                                          {"layer_norm_epsilon", "1e-6"},
                                          {"mixer_rms_eps", "1e-5"},
                                          {"expand", "3"},
                                          {"state_size", "15"},
                                          {"conv_kernel", "3"},
                                          {"num_hidden_layers", "4"},
                                          {"time_step_rank", "4"}}) {
    Members changed = base;
    changed[key] = value;
    EXPECT_NE(describe(changed), describe(base)) << key;
  }
}

struct BadConfig {
  const char* name;
  Members members;
  const char* error;
};

class ModelConfigRefuses : public ::testing::TestWithParam<BadConfig> {};

TEST_P(ModelConfigRefuses, NamingTheMember) {
  const auto parsed = Parse(GetParam().members);
  ASSERT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(GetParam().error));
  EXPECT_THAT(std::string(parsed.status().message()), ::testing::StartsWith("config.json: "));
}

INSTANTIATE_TEST_SUITE_P(
    HuggingFaceSpelling, ModelConfigRefuses,
    ::testing::Values(
        BadConfig{"Nothing", {}, "model_type is missing"},
        BadConfig{"UnknownType", HuggingFace({{"model_type", "\"llama\""}}),
                  "\"llama\" is not known here; these are: mamba, falcon_mamba, mamba2"},
        BadConfig{"UnknownTypeOfAnotherSpelling", Original({{"model_type", "\"ssm\""}}),
                  "model_type \"ssm\" is not known here; these are: mamba, falcon_mamba, mamba2, "
                  "retnet, rwkv, rwkv5, rwkv6, rwkv7, ssm_lm, hippo_memory"},
        BadConfig{"TypeNotAString", HuggingFace({{"model_type", "7"}}),
                  "model_type must be a string"},
        BadConfig{"NoWidth", HuggingFace({{"hidden_size", ""}}), "hidden_size is missing"},
        BadConfig{"NullWidth", HuggingFace({{"hidden_size", "null"}}), "hidden_size is missing"},
        BadConfig{"NegativeWidth", HuggingFace({{"hidden_size", "-1"}}),
                  "hidden_size must be a whole number in [1, 65536], got -1"},
        BadConfig{"ZeroWidth", HuggingFace({{"hidden_size", "0"}}), "got 0"},
        BadConfig{"FloatWidth", HuggingFace({{"hidden_size", "40.5"}}), "got 40.5"},
        BadConfig{"WidthAsAFloat", HuggingFace({{"hidden_size", "40.0"}}), "got 40 as a float"},
        BadConfig{"TextWidth", HuggingFace({{"hidden_size", "\"40\""}}), "got \"40\""},
        BadConfig{"NanWidth", HuggingFace({{"hidden_size", "NaN"}}), "got nan"},
        BadConfig{"HugeWidth", HuggingFace({{"hidden_size", "65537"}}), "got 65537"},
        BadConfig{"OverflowingWidth", HuggingFace({{"hidden_size", "36893488147419103232"}}),
                  "got 3"},
        BadConfig{"TooManyLayers", HuggingFace({{"num_hidden_layers", "1025"}}), "got 1025"},
        BadConfig{"NoLayers", HuggingFace({{"num_hidden_layers", "0"}}), "num_hidden_layers"},
        BadConfig{"HugeVocabulary", HuggingFace({{"vocab_size", "16777217"}}), "vocab_size"},
        BadConfig{"HugeState", HuggingFace({{"state_size", "257"}}), "state_size"},
        BadConfig{"ZeroState", HuggingFace({{"state_size", "0"}}), "state_size"},
        BadConfig{"HugeConv", HuggingFace({{"conv_kernel", "65"}}), "conv_kernel"},
        BadConfig{"ZeroConv", HuggingFace({{"conv_kernel", "0"}}), "conv_kernel"},
        BadConfig{"NegativeRank", HuggingFace({{"time_step_rank", "-3"}}), "time_step_rank"},
        BadConfig{"WordRank", HuggingFace({{"time_step_rank", "\"many\""}}), "time_step_rank"},
        BadConfig{"HugeInner", HuggingFace({{"intermediate_size", "262145"}}), "intermediate_size"},
        BadConfig{"HugeExpand", HuggingFace({{"expand", "1e300"}}), "expand must be a number in"},
        BadConfig{"NegativeExpand", HuggingFace({{"expand", "-2"}}), "expand must be a number in"},
        BadConfig{"TinyExpand", HuggingFace({{"expand", "0.01"}}), "inner width of 0"},
        BadConfig{"InfiniteExpand", HuggingFace({{"expand", "Infinity"}}), "expand"},
        BadConfig{"NegativeEpsilon", HuggingFace({{"layer_norm_epsilon", "-1e-5"}}), "epsilon"},
        BadConfig{"NanEpsilon", HuggingFace({{"layer_norm_epsilon", "NaN"}}), "epsilon"},
        BadConfig{"OtherActivation", HuggingFace({{"hidden_act", "\"gelu\""}}),
                  "hidden_act must be \"silu\", got \"gelu\""},
        BadConfig{"LayerNorm", HuggingFace({{"rms_norm", "false"}}), "LayerNorm"},
        BadConfig{"BiasNotABool", HuggingFace({{"use_bias", "1"}}),
                  "use_bias must be true or false"},
        BadConfig{"TiedNotABool", HuggingFace({{"tie_word_embeddings", "\"yes\""}}), "tie_word"},
        BadConfig{"EosNotANumber", HuggingFace({{"eos_token_id", "[1, \"x\"]"}}), "eos_token_id"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    OriginalSpelling, ModelConfigRefuses,
    ::testing::Values(
        BadConfig{"Mamba3", Original({{"ssm_cfg", R"({"layer": "Mamba3"})"}}),
                  "ssm_cfg.layer must be \"Mamba1\" or \"Mamba2\", got \"Mamba3\""},
        BadConfig{"Mlp", Original({{"d_intermediate", "64"}}), "MLP layers"},
        BadConfig{"Attention", Original({{"attn_layer_idx", "[3]"}}), "attention layers"},
        BadConfig{"AttentionNotAList", Original({{"attn_layer_idx", "3"}}), "attention layers"},
        BadConfig{"LayerNorm", Original({{"rms_norm", "false"}}), "LayerNorm"},
        BadConfig{"UnknownOption", Original({{"ssm_cfg", R"({"d_sate": 8})"}}),
                  "ssm_cfg.d_sate is not known here; these are: "},
        BadConfig{"ConfigNotAnObject", Original({{"ssm_cfg", "[]"}}), "ssm_cfg must be an object"},
        BadConfig{"NoLayers", Original({{"n_layer", ""}}), "n_layer is missing"},
        BadConfig{"ZeroPadding", Original({{"pad_vocab_size_multiple", "0"}}), "pad_vocab"},
        BadConfig{"HugeState", Original({{"ssm_cfg", R"({"d_state": 1000})"}}),
                  "ssm_cfg.d_state must be a whole number in [1, 256], got 1000"}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace ssmd
