// A Mamba checkpoint of a few hundred weights, as parts that a test can change before writing them.
#ifndef SSMD_TESTS_SUPPORT_TINY_MODEL_H_
#define SSMD_TESTS_SUPPORT_TINY_MODEL_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_folder.h"

namespace ssmd::testing {

// d_model 4, d_inner 6, state 3, conv width 2, dt rank 1, vocabulary 7, 2 layers, tied, f32.
struct TinyModel {
  std::map<std::string, std::string> config;  // member → JSON
  TensorsToWrite tensors;

  TinyModel() {
    config = {{"model_type", "\"mamba\""}, {"hidden_size", "4"},   {"num_hidden_layers", "2"},
              {"vocab_size", "7"},         {"state_size", "3"},    {"conv_kernel", "2"},
              {"intermediate_size", "6"},  {"time_step_rank", "1"}};
    Add("backbone.embeddings.weight", {7, 4});
    for (const char* layer : {"backbone.layers.0.", "backbone.layers.1."}) {
      const std::string mixer = absl::StrCat(layer, "mixer.");
      Add(absl::StrCat(layer, "norm.weight"), {4});
      Add(mixer + "in_proj.weight", {12, 4});
      Add(mixer + "conv1d.weight", {6, 1, 2});
      Add(mixer + "conv1d.bias", {6});
      Add(mixer + "x_proj.weight", {7, 6});
      Add(mixer + "dt_proj.weight", {6, 1});
      Add(mixer + "dt_proj.bias", {6});
      Add(mixer + "A_log", {6, 3});
      Add(mixer + "D", {6});
      Add(mixer + "out_proj.weight", {4, 6});
    }
    Add("backbone.norm_f.weight", {4});
  }

  // A tensor of values in (-1, 1) that differ from tensor to tensor.
  void Add(const std::string& name, const std::vector<int64_t>& shape) {
    int64_t elements = 1;
    for (const int64_t dimension : shape) elements *= dimension;
    uint32_t seed = 1;
    for (const char c : name) seed = seed * 31 + static_cast<uint8_t>(c);
    std::vector<float> values;
    for (int64_t i = 0; i < elements; ++i) {
      seed = seed * 1664525 + 1013904223;
      values.push_back(static_cast<float>(seed >> 8) / (1 << 23) - 1);
    }
    tensors[name] = F32Tensor(shape, values);
  }

  void Write(const TempFolder& folder) const {
    std::vector<std::string> members;
    for (const auto& [key, value] : config)
      members.push_back(absl::StrCat("\"", key, "\": ", value));
    folder.Write("config.json", absl::StrCat("{", absl::StrJoin(members, ", "), "}"));
    folder.Write("model.safetensors", SafetensorsFile(tensors));
  }
};

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_SUPPORT_TINY_MODEL_H_
