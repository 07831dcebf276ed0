#include "tests/unit/models/mixer_cases.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <utility>

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

// What RWKV's time mixing has of square matrices and of weights of its shift.
std::vector<CaseTensor> RwkvTensors(int64_t width, const std::vector<const char*>& matrices,
                                    const std::vector<const char*>& mixes,
                                    const std::vector<CaseTensor>& others) {
  std::vector<CaseTensor> tensors = others;
  for (const char* name : matrices) tensors.push_back({name, {width, width}});
  for (const char* name : mixes) tensors.push_back({name, {1, 1, width}, 0, 1});
  return tensors;
}

std::vector<MixerCase> RwkvCases() {
  constexpr int64_t kWide = 32;  // two heads of RWKV-7
  return {
      {"rwkv4",
       {{"type", "\"rwkv4\""}},
       RwkvTensors(kD, {"receptance.weight", "key.weight", "value.weight", "output.weight"},
                   {"time_mix_k", "time_mix_v", "time_mix_r"},
                   {{"time_decay", {kD}, -3, 1}, {"time_first", {kD}}}),
       false,
       false,
       "layer"},
      {"rwkv5",
       {{"type", "\"rwkv5\""}, {"head_dim", "12"}},
       RwkvTensors(
           kD, {"receptance.weight", "key.weight", "value.weight", "output.weight", "gate.weight"},
           {"time_mix_k", "time_mix_v", "time_mix_r", "time_mix_g"},
           {{"time_decay", {2, 12}, -3, 1},
            {"time_faaaa", {2, 12}},
            {"ln_x.weight", {kD}, 0.5f, 1},
            {"ln_x.bias", {kD}}}),
       false,
       true,
       "layer"},
      {"rwkv6",
       {{"type", "\"rwkv6\""}, {"head_dim", "12"}},
       RwkvTensors(
           kD, {"receptance.weight", "key.weight", "value.weight", "output.weight", "gate.weight"},
           {"time_maa_x", "time_maa_w", "time_maa_k", "time_maa_v", "time_maa_r", "time_maa_g"},
           {{"time_decay", {1, 1, kD}, -3, 1},
            {"time_faaaa", {2, 12}},
            {"time_maa_w1", {kD, 15}},
            {"time_maa_w2", {5, 3, kD}},
            {"time_decay_w1", {kD, 4}},
            {"time_decay_w2", {4, kD}},
            {"ln_x.weight", {kD}, 0.5f, 1},
            {"ln_x.bias", {kD}}}),
       false,
       true,
       "layer"},
      {"rwkv7",
       {{"type", "\"rwkv7\""}, {"head_dim", "16"}},
       RwkvTensors(kWide, {"receptance.weight", "key.weight", "value.weight", "output.weight"},
                   {"x_r", "x_w", "x_k", "x_v", "x_a", "x_g"},
                   {{"w0", {kWide}, -3, 1},
                    {"w1", {kWide, 4}},
                    {"w2", {4, kWide}},
                    {"a0", {kWide}},
                    {"a1", {kWide, 3}},
                    {"a2", {3, kWide}},
                    {"v0", {kWide}},
                    {"v1", {kWide, 2}},
                    {"v2", {2, kWide}},
                    {"g1", {kWide, 5}},
                    {"g2", {5, kWide}},
                    {"k_k", {kWide}, 0.5f, 1},
                    {"k_a", {kWide}, 0, 1},
                    {"r_k", {2, 16}},
                    {"ln_x.weight", {kWide}, 0.5f, 1},
                    {"ln_x.bias", {kWide}}}),
       false,
       true,
       "layer",
       kWide},
  };
}

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
       HippoTensors(),
       true,
       true,
       "rms",
       kD,
       true},
      {"retnet",
       {{"type", "\"retnet\""}, {"num_heads", "2"}, {"d_key", "12"}, {"d_value", "20"}},
       {{"q_proj.weight", {12, kD}},
        {"k_proj.weight", {12, kD}},
        {"v_proj.weight", {20, kD}},
        {"g_proj.weight", {20, kD}},
        {"out_proj.weight", {kD, 20}}},
       false,
       true,
       "rms",
       kD,
       true},
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
       "layer",
       kD,
       true},
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
  static const std::vector<MixerCase> cases = [] {
    std::vector<MixerCase> all = MakeCases();
    for (MixerCase& rwkv : RwkvCases()) all.push_back(std::move(rwkv));
    return all;
  }();
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
            {"d_model", absl::StrCat(c.d_model)},
            {"n_layer", absl::StrCat(layers)},
            {"vocab_size", absl::StrCat(kCaseVocabulary)},
            {"norm", absl::StrCat("\"", c.norm, "\"")}};
  const auto add_norm = [&](const std::string& name) {
    Add(name + ".weight", {nullptr, {c.d_model}, 0.5f, 1});
    if (std::string(c.norm) == "layer") Add(name + ".bias", {nullptr, {c.d_model}});
  };
  Add("backbone.embedding.weight", {nullptr, {kCaseVocabulary, c.d_model}, -1, 1});
  for (int layer = 0; layer < layers; ++layer) {
    const std::string prefix = absl::StrCat("backbone.layers.", layer, ".");
    add_norm(prefix + "norm");
    for (const CaseTensor& tensor : c.tensors) Add(prefix + "mixer." + tensor.name, tensor);
    if (!c.framed) continue;
    const int64_t outputs = c.mixer.contains("output") ? c.d_model : 2 * c.d_model;
    Add(prefix + "mixer.out.weight", {nullptr, {outputs, c.d_model}});
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
