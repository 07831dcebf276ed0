// What configurations and weights of ssm_lm's mixers are refused, by the member or tensor that is
// wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/models/language_model.h"
#include "engine/models/registry.h"
#include "kernels/device.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/models/mixer_cases.h"

namespace ssmd {
namespace {

using ::testing::HasSubstr;
using testing::Members;
using testing::StackModel;

// config.json of two layers of d_model 24, as loading reads it: what the stack says of itself.
absl::StatusOr<std::string> PlanWith(const Members& changes) {
  Members members = {
      {"model_type", "\"ssm_lm\""}, {"d_model", "24"}, {"n_layer", "2"}, {"vocab_size", "100"}};
  for (const auto& [key, value] : changes) members[key] = value;
  const JsonDocument document = testing::ToJson(members);
  const ConfigObject root(document.root(), "config.json: ");
  SSMD_ASSIGN_OR_RETURN(const ModelConfig config, ParseModelConfig(root));
  SSMD_ASSIGN_OR_RETURN(const Stack stack, PlanStack(config, root));
  return stack.Describe();
}

absl::StatusOr<std::string> Plan(const std::string& mixer) { return PlanWith({{"mixer", mixer}}); }

struct BadMixer {
  const char* mixer;
  std::vector<const char*> errors;
};

class MixerConfigRefuses : public ::testing::TestWithParam<BadMixer> {};

TEST_P(MixerConfigRefuses, NamingTheMember) {
  const auto plan = Plan(GetParam().mixer);
  ASSERT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument) << GetParam().mixer;
  for (const char* error : GetParam().errors) {
    EXPECT_THAT(std::string(plan.status().message()), HasSubstr(error)) << GetParam().mixer;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Members, MixerConfigRefuses,
    ::testing::Values(
        BadMixer{R"({"type": "s6"})", {"mixer.type must be one of", "hippo_legs", "got \"s6\""}},
        BadMixer{R"({"d_state": 4})", {"mixer.type is missing: it must be one of mamba, mamba2"}},
        BadMixer{R"({"type": null})", {"mixer.type must not be null"}},
        BadMixer{R"({"type": "s4", "d_state": 8, "rank": null})", {"mixer.rank must not be null"}},
        BadMixer{R"({"type": "s4"})", {"mixer.d_state is missing"}},
        BadMixer{R"({"type": "s4", "d_state": 7})", {"mixer.d_state must be even, got 7"}},
        BadMixer{R"({"type": "s4", "d_state": 514})", {"mixer.d_state must be", "[2, 512]"}},
        BadMixer{R"({"type": "s4", "d_state": 8, "rank": 5})", {"mixer.rank", "[1, 4]"}},
        BadMixer{R"({"type": "s4", "d_state": 8, "rank": 0})", {"mixer.rank", "[1, 4]"}},
        BadMixer{R"({"type": "s4", "d_state": 8, "heads": 12})",
                 {"mixer.heads must be 1 or d_model = 24, got 12"}},
        BadMixer{R"({"type": "s4", "d_state": 8, "l_kernel": -1})", {"mixer.l_kernel"}},
        BadMixer{R"({"type": "s4", "d_state": 8, "discretization": "zoh"})",
                 {"mixer.discretization must be \"bilinear\""}},
        BadMixer{R"({"type": "s4", "d_state": 8, "diagonal": 1})", {"mixer.diagonal"}},
        BadMixer{R"({"type": "s4", "d_state": 8, "output": "relu"})",
                 {"mixer.output must be \"glu\" or \"linear\", got \"relu\""}},
        BadMixer{R"({"type": "s4", "d_state": 8, "lr": 0.1})", {"mixer.lr is not known here"}},
        BadMixer{R"({"type": "s4d", "d_state": 8, "rank": 1})", {"mixer.rank is not known here"}},
        BadMixer{R"({"type": "s4d", "d_state": 3})", {"mixer.d_state must be even"}},
        BadMixer{R"({"type": "s4d", "d_state": 4, "discretization": "euler"})",
                 {"mixer.discretization must be \"zoh\" or \"bilinear\", got \"euler\""}},
        BadMixer{R"({"type": "s5", "d_state": 0})", {"mixer.d_state", "[1, 131072]"}},
        BadMixer{R"({"type": "s5", "d_state": 4, "conj_sym": "yes"})", {"mixer.conj_sym"}},
        BadMixer{R"({"type": "lru", "d_state": 4, "conj_sym": true})",
                 {"mixer.conj_sym is not known here"}},
        BadMixer{R"({"type": "rtf", "d_state": 257, "num_a": 1, "trunc_len": 8})",
                 {"mixer.d_state", "[1, 256]"}},
        BadMixer{R"({"type": "rtf", "d_state": 4, "num_a": 5, "trunc_len": 8})",
                 {"mixer.num_a must divide d_model = 24, got 5"}},
        BadMixer{R"({"type": "rtf", "d_state": 4, "trunc_len": 8})", {"mixer.num_a is missing"}},
        BadMixer{R"({"type": "rtf", "d_state": 4, "num_a": 1})", {"mixer.trunc_len is missing"}},
        BadMixer{R"({"type": "hippo_legs", "d_state": 257})", {"mixer.d_state", "[1, 256]"}},
        BadMixer{R"({"type": "hippo_legs", "d_state": 4, "window": 8})",
                 {"mixer.window is not known here"}},
        BadMixer{R"({"type": "hippo_legt", "d_state": 4})", {"mixer.window is missing"}},
        BadMixer{R"({"type": "hippo_legt", "d_state": 4, "window": 0})", {"mixer.window"}},
        BadMixer{R"({"type": "retnet"})", {"mixer.num_heads is missing"}},
        BadMixer{R"({"type": "retnet", "num_heads": 5})",
                 {"mixer.d_key must be a multiple of num_heads, 5, got 24"}},
        BadMixer{R"({"type": "retnet", "num_heads": 4, "d_value": 6})",
                 {"mixer.d_value must be a multiple of num_heads, 4, got 6"}},
        BadMixer{R"({"type": "retnet", "num_heads": 8})",
                 {"mixer.d_key over num_heads is 3, which must be even and at most 256"}},
        BadMixer{R"({"type": "retnet", "num_heads": 1, "d_key": 258})",
                 {"mixer.d_key over num_heads is 258"}},
        BadMixer{R"({"type": "retnet", "num_heads": 2, "output": "glu"})",
                 {"mixer.output is not known here"}}));

struct BadStack {
  Members members;
  const char* error;
};

TEST(StackConfig, RefusesWhatIsMissingOrNullNamingTheMember) {
  const std::string s4d = R"({"type": "s4d", "d_state": 4})";
  for (const BadStack& bad : std::vector<BadStack>{
           {{}, "config.json: mixer is missing, and layer 0 has none of its own"},
           {{{"layers", "[{\"mixer\": " + s4d + "}, {}]"}},
            "config.json: mixer is missing, and layer 1 has none of its own"},
           {{{"mixer", s4d}, {"layers", "null"}}, "config.json: layers must not be null"},
           {{{"mixer", s4d}, {"layers", "{}"}},
            "config.json: layers must be a list of n_layer = 2"},
           {{{"mixer", "null"}}, "config.json: mixer must not be null"},
           {{{"mixer", s4d}, {"layers", "[{}, {\"mixer\": null}]"}},
            "config.json: layers[1].mixer must not be null"},
           {{{"mixer", s4d}, {"layers", "[{\"mlp\": {\"d_inner\": 8}}, {}]"}},
            "config.json: layers[0].mlp.type is missing: it must be one of swiglu, gelu"},
           {{{"mixer", s4d}, {"mlp", R"({"type": "gelu", "d_inner": null})"}},
            "config.json: mlp.d_inner must not be null"},
           {{{"mixer", s4d}, {"norm", "null"}}, "config.json: norm must not be null"},
           {{{"mixer", s4d}, {"norm_eps", "null"}}, "config.json: norm_eps must not be null"},
           {{{"mixer", s4d}, {"tie_word_embeddings", "null"}},
            "config.json: tie_word_embeddings must not be null"},
           {{{"mixer", s4d}, {"d_model", "null"}}, "config.json: d_model must not be null"}}) {
    const auto plan = PlanWith(bad.members);
    ASSERT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument) << bad.error;
    EXPECT_THAT(std::string(plan.status().message()), HasSubstr(bad.error));
  }
  EXPECT_TRUE(PlanWith({{"mixer", s4d},
                        {"mlp", "null"},
                        {"bos_token_id", "null"},
                        {"eos_token_id", "null"},
                        {"layers", "[{\"mlp\": null}, {}]"}})
                  .ok());
}

// Layers that compute another function may not share a family, nor models a fingerprint.
TEST(MixerConfig, DescribesAllThatChangesALogitOrALayout) {
  const std::vector<std::string> mixers = {R"("s4", "d_state": 8)",
                                           R"("s4", "d_state": 8, "rank": 2)",
                                           R"("s4", "d_state": 8, "heads": 24)",
                                           R"("s4", "d_state": 8, "l_kernel": 30)",
                                           R"("s4", "d_state": 8, "l_kernel": 31)",
                                           R"("s4", "d_state": 8, "diagonal": true)",
                                           R"("s4", "d_state": 8, "output": "linear")",
                                           R"("s4", "d_state": 10)",
                                           R"("s4d", "d_state": 8)",
                                           R"("s4d", "d_state": 8, "discretization": "bilinear")",
                                           R"("s4d", "d_state": 8, "output": "linear")",
                                           R"("s5", "d_state": 8)",
                                           R"("s5", "d_state": 8, "conj_sym": false)",
                                           R"("s5", "d_state": 8, "discretization": "bilinear")",
                                           R"("lru", "d_state": 8)",
                                           R"("lru", "d_state": 8, "output": "linear")",
                                           R"("rtf", "d_state": 8, "num_a": 1, "trunc_len": 10)",
                                           R"("rtf", "d_state": 8, "num_a": 1, "trunc_len": 11)",
                                           R"("rtf", "d_state": 8, "num_a": 3, "trunc_len": 10)",
                                           R"("hippo_legs", "d_state": 8)",
                                           R"("hippo_legs", "d_state": 8, "discretization": "zoh")",
                                           R"("hippo_legt", "d_state": 8, "window": 100)",
                                           R"("hippo_legt", "d_state": 8, "window": 101)",
                                           R"("retnet", "num_heads": 2)",
                                           R"("retnet", "num_heads": 4)",
                                           R"("retnet", "num_heads": 2, "d_key": 12)",
                                           R"("retnet", "num_heads": 2, "d_value": 12)"};
  std::vector<std::string> plans;
  for (const std::string& mixer : mixers) {
    const auto plan = Plan("{\"type\": " + mixer + "}");
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_THAT(plans, ::testing::Not(::testing::Contains(*plan))) << mixer;
    plans.push_back(*plan);
  }
}

struct BadWeights {
  const char* mixer_case;
  std::function<void(StackModel*)> change;
  std::vector<const char*> errors;
};

class MixerLoadRefuses : public ::testing::TestWithParam<BadWeights> {};

TEST_P(MixerLoadRefuses, NamingTheTensor) {
  const testing::TempFolder folder;
  const auto device = kernels::MakeReferenceDevice();
  StackModel model(testing::FindMixerCase(GetParam().mixer_case), 2);
  GetParam().change(&model);
  model.Write(folder);
  const auto loaded = LoadLanguageModel(folder.path(), ModelLoadOptions(), device.get());
  ASSERT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument) << loaded.status();
  for (const char* error : GetParam().errors) {
    EXPECT_THAT(std::string(loaded.status().message()), HasSubstr(error));
  }
}

#define SSMD_LAYER_1 "backbone.layers.1.mixer."

INSTANTIATE_TEST_SUITE_P(
    Weights, MixerLoadRefuses,
    ::testing::Values(
        BadWeights{"s4",
                   [](StackModel* m) { m->Set(SSMD_LAYER_1 "A_real", 1, 800); },
                   {"\"exp of " SSMD_LAYER_1 "A_real\" is not finite at index 1"}},
        BadWeights{"s4",
                   [](StackModel* m) { m->Set(SSMD_LAYER_1 "inv_dt", 3, 1000); },
                   {"\"exp of " SSMD_LAYER_1 "inv_dt\" is not finite at index 3"}},
        BadWeights{"s4",
                   [](StackModel* m) { m->Set(SSMD_LAYER_1 "inv_dt", 3, 400); },
                   {"\"what is made of " SSMD_LAYER_1 "inv_dt\" is not finite at index 3"}},
        // What is finite by itself, and not when multiplied.
        BadWeights{"s4",
                   [](StackModel* m) {
                     m->Set(SSMD_LAYER_1 "B", 0, 1e9f);
                     m->Set(SSMD_LAYER_1 "C", 0, 3e38f);
                   },
                   {SSMD_LAYER_1 "C with " SSMD_LAYER_1 "inv_dt\" is not finite at index"}},
        BadWeights{"s4d",
                   [](StackModel* m) {
                     m->Set(SSMD_LAYER_1 "log_A_real", 0, -100);
                     m->Set(SSMD_LAYER_1 "A_imag", 0, 0);
                     m->Set(SSMD_LAYER_1 "C", 0, 1e4f);
                     m->Set(SSMD_LAYER_1 "log_dt", 0, 88);
                   },
                   {SSMD_LAYER_1 "C with " SSMD_LAYER_1 "log_dt\" is not finite at index 0"}},
        BadWeights{"s4",
                   [](StackModel* m) { m->Set(SSMD_LAYER_1 "P", 2, NAN); },
                   {"\"" SSMD_LAYER_1 "P\" is not finite at index 2"}},
        BadWeights{"s4",
                   [](StackModel* m) { m->mixer["d_state"] = "8"; },
                   {"mixer.A_real\" has shape [1, 3], expected [1, 4]"}},
        // Two modes close to each other, which P turns into a pair of real eigenvalues, or nearly.
        BadWeights{"s4_diagonal",
                   [](StackModel* m) {
                     m->Add(SSMD_LAYER_1 "A_imag", {nullptr, {1, 3}, 0.01f, 0.02f});
                     m->Add(SSMD_LAYER_1 "P", {nullptr, {2, 1, 3, 2}, -2, 2});
                   },
                   {"\"" SSMD_LAYER_1 "A_real\" with P gives a matrix with eigenv",
                    "cannot be served with \"diagonal\": true"}},
        BadWeights{"s4d",
                   [](StackModel* m) { m->Set(SSMD_LAYER_1 "log_dt", 3, 1000); },
                   {"\"exp of " SSMD_LAYER_1 "log_dt\" is not finite at index 3"}},
        BadWeights{"s5",
                   [](StackModel* m) { m->Set(SSMD_LAYER_1 "Lambda_re", 2, 0.25f); },
                   {"\"" SSMD_LAYER_1 "Lambda_re\" gives a decay of magnitude 1.0",
                    "at index 2: a state would grow without bound"}},
        BadWeights{"lru",
                   [](StackModel* m) { m->Set(SSMD_LAYER_1 "gamma_log", 0, 100); },
                   {SSMD_LAYER_1 "B (discretised)", "is not finite"}},
        BadWeights{"rtf",
                   [](StackModel* m) { m->Set(SSMD_LAYER_1 "a", 4, -2); },
                   {"\"" SSMD_LAYER_1 "a\" has a pole of magnitude", "in row 1, of channels from 8",
                    "not inside the unit circle"}},
        BadWeights{"rtf",
                   [](StackModel* m) {
                     m->Add(SSMD_LAYER_1 "D", {nullptr, {24}});
                   },
                   {"mixer.D\" is surplus"}},
        BadWeights{"hippo_legt",
                   [](StackModel* m) { m->tensors.erase(SSMD_LAYER_1 "out.bias"); },
                   {"mixer.out.bias\" is missing (expected shape [48])"}},
        BadWeights{"hippo_legs",
                   [](StackModel* m) { m->mixer["output"] = "\"linear\""; },
                   {"mixer.out.weight\" has shape [48, 24], expected [24, 24]"}},
        BadWeights{"retnet",
                   [](StackModel* m) { m->mixer["d_value"] = "24"; },
                   {"mixer.v_proj.weight\" has shape [20, 24], expected [24, 24]"}}));

// A pure oscillation is at the limit, and not beyond it when it is rounded.
TEST(MixerLoad, TakesModesThatDoNotDecay) {
  const testing::TempFolder folder;
  const auto device = kernels::MakeReferenceDevice();
  StackModel model(testing::FindMixerCase("s5"), 2);
  for (size_t mode = 0; mode < 5; ++mode) model.Set(SSMD_LAYER_1 "Lambda_re", mode, 0);
  model.Write(folder);
  const auto loaded = LoadLanguageModel(folder.path(), ModelLoadOptions(), device.get());
  EXPECT_TRUE(loaded.ok()) << loaded.status();
}

}  // namespace
}  // namespace ssmd
