#include "tests/support/models.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace ssmd::test {
namespace {

void AddMamba(const MambaShape& shape, const std::string& mixer, RandomTensors* builder) {
  const int inner = shape.d_inner();
  const float in_scale = 1 / std::sqrt(static_cast<float>(shape.d_model));
  const float inner_scale = 1 / std::sqrt(static_cast<float>(inner));
  builder->Uniform(mixer + "in_proj.weight", {2 * inner, shape.d_model}, -2 * in_scale,
                   2 * in_scale);
  builder->Uniform(mixer + "conv1d.weight", {inner, 1, shape.conv}, -0.6f, 0.6f);
  builder->Uniform(mixer + "conv1d.bias", {inner}, -0.1f, 0.1f);
  builder->Uniform(mixer + "x_proj.weight", {shape.dt_rank + 2 * shape.state, inner},
                   -2 * inner_scale, 2 * inner_scale);
  builder->Uniform(mixer + "dt_proj.weight", {inner, shape.dt_rank}, -0.6f, 0.6f);
  builder->Uniform(mixer + "dt_proj.bias", {inner}, -4, -1);
  builder->Add(mixer + "A_log", {inner, shape.state},
               [&](int64_t i) { return std::log(1 + static_cast<float>(i % shape.state)); });
  builder->Uniform(mixer + "D", {inner}, 0.5, 1.5);
  builder->Uniform(mixer + "out_proj.weight", {shape.d_model, inner}, -2 * inner_scale,
                   2 * inner_scale);
}

void AddMamba2(const MambaShape& shape, const std::string& mixer, RandomTensors* builder) {
  const int inner = shape.d_inner();
  const float in_scale = 2 / std::sqrt(static_cast<float>(shape.d_model));
  const float out_scale = 2 / std::sqrt(static_cast<float>(inner));
  builder->Uniform(mixer + "in_proj.weight",
                   {inner + shape.conv_channels() + shape.heads(), shape.d_model}, -in_scale,
                   in_scale);
  builder->Uniform(mixer + "conv1d.weight", {shape.conv_channels(), 1, shape.conv}, -0.6f, 0.6f);
  builder->Uniform(mixer + "conv1d.bias", {shape.conv_channels()}, -0.1f, 0.1f);
  builder->Uniform(mixer + "dt_bias", {shape.heads()}, -4, -1);
  builder->Uniform(mixer + "A_log", {shape.heads()}, 0, 2.7f);
  builder->Uniform(mixer + "D", {shape.heads()}, 0.5, 1.5);
  builder->Uniform(mixer + "norm.weight", {inner}, 0.5, 1.5);
  builder->Uniform(mixer + "out_proj.weight", {shape.d_model, inner}, -out_scale, out_scale);
}

void AddLayer(const MambaShape& shape, const std::string& prefix, RandomTensors* builder) {
  builder->Uniform(prefix + "norm.weight", {shape.d_model}, 0.5, 1.5);
  if (shape.head_dim > 0) {
    AddMamba2(shape, prefix + "mixer.", builder);
  } else {
    AddMamba(shape, prefix + "mixer.", builder);
  }
}

}  // namespace

void RandomTensors::Uniform(const std::string& name, std::vector<int64_t> shape, float low,
                            float high) {
  std::uniform_real_distribution<float> distribution(low, high);
  Add(name, std::move(shape), [&](int64_t) { return distribution(random_); });
}

void RandomTensors::Add(const std::string& name, std::vector<int64_t> shape,
                        const std::function<float(int64_t)>& value) {
  int64_t count = 1;
  for (const int64_t dimension : shape) count *= dimension;
  Tensor tensor{name, std::move(shape), {}};
  for (int64_t i = 0; i < count; ++i) tensor.values.push_back(value(i));
  tensors_.push_back(std::move(tensor));
}

std::vector<Tensor> RandomMamba(const MambaShape& shape, uint32_t seed) {
  RandomTensors builder(seed);
  builder.Uniform("backbone.embeddings.weight", {shape.vocabulary, shape.d_model}, -1, 1);
  for (int layer = 0; layer < shape.layers; ++layer) {
    AddLayer(shape, absl::StrFormat("backbone.layers.%d.", layer), &builder);
  }
  builder.Uniform("backbone.norm_f.weight", {shape.d_model}, 0.5, 1.5);
  if (shape.falcon) {
    builder.Uniform("lm_head.weight", {shape.vocabulary, shape.d_model}, -1, 1);
  }
  return builder.Take();
}

std::string MambaConfig(const MambaShape& shape) {
  const std::string mixer =
      shape.head_dim > 0
          ? absl::StrFormat(R"("num_heads": %d, "head_dim": %d, "n_groups": %d)", shape.heads(),
                            shape.head_dim, shape.groups)
          : absl::StrFormat(R"("time_step_rank": %d, "mixer_rms_eps": 1e-06)", shape.dt_rank);
  return absl::StrFormat(
      R"({"model_type": "%s", "hidden_size": %d, "num_hidden_layers": %d, "vocab_size": %d,
 "state_size": %d, "conv_kernel": %d, "expand": %d, "intermediate_size": %d, %s,
 "layer_norm_epsilon": 1e-05, "use_bias": false, "use_conv_bias": true, "hidden_act": "silu",
 "residual_in_fp32": true, "tie_word_embeddings": %s})",
      shape.head_dim > 0 ? "mamba2"
      : shape.falcon     ? "falcon_mamba"
                         : "mamba",
      shape.d_model, shape.layers, shape.vocabulary, shape.state, shape.conv, shape.expand,
      shape.d_inner(), mixer, shape.falcon ? "false" : "true");
}

std::string Safetensors(const std::vector<Tensor>& tensors) {
  std::string header;
  std::string data;
  for (const Tensor& tensor : tensors) {
    const size_t begin = data.size();
    const size_t bytes = tensor.values.size() * sizeof(float);
    data.resize(begin + bytes);
    std::memcpy(data.data() + begin, tensor.values.data(), bytes);
    header +=
        absl::StrFormat(R"(%s"%s": {"dtype": "F32", "shape": [%s], "data_offsets": [%d, %d]})",
                        header.empty() ? "{" : ", ", tensor.name, absl::StrJoin(tensor.shape, ","),
                        begin, data.size());
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t header_bytes = header.size();
  std::string file(sizeof(header_bytes), '\0');
  std::memcpy(file.data(), &header_bytes, sizeof(header_bytes));  // little-endian, as we are
  return file + header + data;
}

void WriteRandomMamba(const std::string& folder, const MambaShape& shape, uint32_t seed) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/config.json") << MambaConfig(shape);
  std::ofstream(folder + "/model.safetensors", std::ios::binary)
      << Safetensors(RandomMamba(shape, seed));
}

}  // namespace ssmd::test
