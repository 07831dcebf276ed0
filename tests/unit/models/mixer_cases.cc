#include "tests/unit/models/mixer_cases.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace ssmd::testing {
namespace {

constexpr int64_t kD = kCaseWidth;

std::vector<CaseTensor> S4Tensors(int64_t heads, float p) {
  return {{"A_real", {heads, 3}, -1, 0.5f},
          {"A_imag", {heads, 3}, 1, 9},
          {"P", {2, heads, 3, 2}, -p, p},
          {"B", {heads, 3, 2}, -1, 1},
          {"C", {kD, 3, 2}, -1, 1},
          {"inv_dt", {kD}, -4, -1},
          {"D", {kD}}};
}

std::vector<CaseTensor> HippoTensors() { return {{"C", {kD, 5}, -1, 1}, {"D", {kD}}}; }

std::vector<MixerCase> MakeCases() {
  return {
      {"s4", {{"type", "\"s4\""}, {"d_state", "6"}, {"rank", "2"}}, S4Tensors(1, 0.7f)},
      {"s4_heads",
       {{"type", "\"s4\""},
        {"d_state", "6"},
        {"rank", "2"},
        {"heads", "24"},
        {"l_kernel", "40"},
        {"output", "\"linear\""}},
       S4Tensors(kD, 0.7f)},
      {"s4_diagonal",
       {{"type", "\"s4\""}, {"d_state", "6"}, {"rank", "2"}, {"diagonal", "true"}},
       S4Tensors(1, 0.1f)},
      {"s4d",
       {{"type", "\"s4d\""}, {"d_state", "6"}},
       {{"log_A_real", {kD, 3}, -1, 0.5f},
        {"A_imag", {kD, 3}, 0, 9},
        {"B", {kD, 3, 2}, -1, 1},
        {"C", {kD, 3, 2}, -1, 1},
        {"log_dt", {kD}, -4, -1},
        {"D", {kD}}}},
      {"s5",
       {{"type", "\"s5\""}, {"d_state", "5"}},
       {{"Lambda_re", {5}, -1, -0.1f},
        {"Lambda_im", {5}, -6, 6},
        {"B", {5, kD, 2}},
        {"C", {kD, 5, 2}, -1, 1},
        {"log_step", {5}, -4, -1},
        {"D", {kD}}}},
      {"lru",
       {{"type", "\"lru\""}, {"d_state", "5"}},
       {{"nu_log", {5}, -3, 0},
        {"theta_log", {5}, -2, 1},
        {"gamma_log", {5}, -1, 0},
        {"B", {5, kD, 2}},
        {"C", {kD, 5, 2}, -1, 1},
        {"D", {kD}}}},
      {"rtf",
       {{"type", "\"rtf\""}, {"d_state", "4"}, {"num_a", "3"}, {"trunc_len", "41"}},
       {{"a", {3, 4}, -0.24f, 0.24f}, {"b", {kD, 4}, -1, 1}, {"h_0", {kD}}}},
      {"hippo_legs", {{"type", "\"hippo_legs\""}, {"d_state", "5"}}, HippoTensors()},
      {"hippo_legs_zoh",
       {{"type", "\"hippo_legs\""}, {"d_state", "5"}, {"discretization", "\"zoh\""}},
       HippoTensors()},
      {"hippo_legt",
       {{"type", "\"hippo_legt\""}, {"d_state", "5"}, {"window", "12"}},
       HippoTensors()},
      {"retnet",
       {{"type", "\"retnet\""}, {"num_heads", "2"}, {"d_key", "12"}, {"d_value", "20"}},
       {{"q_proj.weight", {12, kD}},
        {"k_proj.weight", {12, kD}},
        {"v_proj.weight", {20, kD}},
        {"g_proj.weight", {20, kD}},
        {"out_proj.weight", {kD, 20}}},
       false},
      {"mamba",
       {{"type", "\"mamba\""}, {"d_state", "3"}, {"expand", "1"}, {"dt_rank", "2"}},
       {{"in_proj.weight", {2 * kD, kD}},
        {"conv1d.weight", {kD, 1, 4}},
        {"conv1d.bias", {kD}},
        {"x_proj.weight", {8, kD}},
        {"dt_proj.weight", {kD, 2}},
        {"dt_proj.bias", {kD}},
        {"A_log", {kD, 3}},
        {"D", {kD}},
        {"out_proj.weight", {kD, kD}}},
       false,
       true,
       "layer"},
      {"mamba2",
       {{"type", "\"mamba2\""}, {"d_state", "3"}, {"expand", "1"}, {"headdim", "12"}},
       {{"in_proj.weight", {2 * kD + 6 + 2, kD}},
        {"conv1d.weight", {kD + 6, 1, 4}},
        {"conv1d.bias", {kD + 6}},
        {"dt_bias", {2}},
        {"A_log", {2}},
        {"D", {2}},
        {"norm.weight", {kD}, 0.5f, 1},
        {"out_proj.weight", {kD, kD}}},
       false,
       true,
       "layer"},
  };
}

std::string JsonOf(const Members& members) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : members) {
    if (!value.empty()) parts.push_back(absl::StrCat("\"", key, "\": ", value));
  }
  return absl::StrCat("{", absl::StrJoin(parts, ", "), "}");
}

}  // namespace

const std::vector<MixerCase>& MixerCases() {
  static const std::vector<MixerCase> cases = MakeCases();
  return cases;
}

const MixerCase& FindMixerCase(const std::string& name) {
  for (const MixerCase& c : MixerCases()) {
    if (name == c.name) return c;
  }
  ADD_FAILURE() << "there is no case " << name;
  return MixerCases().front();
}

StackModel::StackModel(const MixerCase& c, int layers) : mixer(c.mixer) {
  config = {{"model_type", "\"ssm_lm\""},
            {"d_model", absl::StrCat(kD)},
            {"n_layer", absl::StrCat(layers)},
            {"vocab_size", absl::StrCat(kCaseVocabulary)},
            {"norm", absl::StrCat("\"", c.norm, "\"")}};
  const auto add_norm = [&](const std::string& name) {
    Add(name + ".weight", {nullptr, {kD}, 0.5f, 1});
    if (std::string(c.norm) == "layer") Add(name + ".bias", {nullptr, {kD}});
  };
  Add("backbone.embedding.weight", {nullptr, {kCaseVocabulary, kD}, -1, 1});
  for (int layer = 0; layer < layers; ++layer) {
    const std::string prefix = absl::StrCat("backbone.layers.", layer, ".");
    add_norm(prefix + "norm");
    for (const CaseTensor& tensor : c.tensors) Add(prefix + "mixer." + tensor.name, tensor);
    if (!c.framed) continue;
    const int64_t outputs = c.mixer.contains("output") ? kD : 2 * kD;
    Add(prefix + "mixer.out.weight", {nullptr, {outputs, kD}});
    Add(prefix + "mixer.out.bias", {nullptr, {outputs}});
  }
  add_norm("backbone.norm_f");
}

void StackModel::Add(const std::string& name, const CaseTensor& tensor) {
  std::seed_seq seed(name.begin(), name.end());
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(tensor.low, tensor.high);
  int64_t elements = 1;
  for (const int64_t dimension : tensor.shape) elements *= dimension;
  std::vector<float> values(static_cast<size_t>(elements));
  for (float& value : values) value = uniform(random);
  tensors[name] = F32Tensor(tensor.shape, values);
}

void StackModel::Set(const std::string& name, size_t index, float value) {
  std::memcpy(&tensors.at(name).bytes[index * sizeof(float)], &value, sizeof(value));
}

void StackModel::Write(const TempFolder& folder) const {
  Members all = config;
  all["mixer"] = JsonOf(mixer);
  folder.Write("config.json", JsonOf(all));
  folder.Write("model.safetensors", SafetensorsFile(tensors));
}

}  // namespace ssmd::testing
