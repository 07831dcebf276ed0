#include "tests/bench/random_stack.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace ssmd::bench {
namespace {

constexpr int64_t kStateSize = 64;  // N
constexpr int64_t kRetNetHeads = 8;

// Tensors of the first layer, by their names below its mixer or its MLP.
class Layer {
 public:
  Layer(int64_t width, std::string prefix, test::RandomTensors* tensors)
      : width_(width), prefix_(std::move(prefix)), tensors_(tensors) {}

  int64_t width() const { return width_; }
  void Uniform(const std::string& name, std::vector<int64_t> shape, double low, double high) const {
    tensors_->Uniform(prefix_ + name, std::move(shape), static_cast<float>(low),
                      static_cast<float>(high));
  }
  // Whose outputs are as large as its inputs, or somewhat larger.
  void Matrix(const std::string& name, int64_t outputs, int64_t inputs) const {
    const double scale = 2 / std::sqrt(static_cast<double>(inputs));
    Uniform(name, {outputs, inputs}, -scale, scale);
  }
  void Transposed(const std::string& name, std::vector<int64_t> shape) const {
    const double scale = 2 / std::sqrt(static_cast<double>(shape[shape.size() - 2]));
    Uniform(name, std::move(shape), -scale, scale);
  }
  // Each with as many elements as the model is wide.
  void Vectors(std::initializer_list<const char*> names, double low, double high) const {
    for (const char* name : names) Uniform(name, {width_}, low, high);
  }

 private:
  const int64_t width_;
  const std::string prefix_;
  test::RandomTensors* const tensors_;
};

// What follows ssm(u) in the time-invariant layers, and its feed-through.
void AddFrame(const Layer& layer, const char* feed_through = "D") {
  layer.Vectors({feed_through}, 0.5, 1.5);
  layer.Matrix("out.weight", 2 * layer.width(), layer.width());
  layer.Uniform("out.bias", {2 * layer.width()}, -0.1, 0.1);
}

void AddS4(const Layer& layer) {
  constexpr int64_t kModes = kStateSize / 2;
  layer.Uniform("A_real", {1, kModes}, -1, 0.5);
  // Far enough from their conjugates for P not to make real ones of both.
  layer.Uniform("A_imag", {1, kModes}, 3, 100);
  layer.Uniform("P", {1, 1, kModes, 2}, -0.5, 0.5);
  layer.Uniform("B", {1, kModes, 2}, -1, 1);
  layer.Uniform("C", {layer.width(), kModes, 2}, -1, 1);
  layer.Vectors({"inv_dt"}, -7, -2);
  AddFrame(layer);
}

void AddS4d(const Layer& layer) {
  constexpr int64_t kModes = kStateSize / 2;
  layer.Uniform("log_A_real", {layer.width(), kModes}, -1, 0.5);
  layer.Uniform("A_imag", {layer.width(), kModes}, 0, 100);
  layer.Uniform("C", {layer.width(), kModes, 2}, -1, 1);
  layer.Vectors({"log_dt"}, -7, -2);
  AddFrame(layer);
}

void AddSharedModes(const Layer& layer) {
  const int64_t modes = layer.width() / 2;
  const double scale = 2 / std::sqrt(static_cast<double>(layer.width()));
  layer.Uniform("B", {modes, layer.width(), 2}, -scale, scale);
  layer.Uniform("C", {layer.width(), modes, 2}, -scale, scale);
  AddFrame(layer);
}

void AddS5(const Layer& layer) {
  const int64_t modes = layer.width() / 2;
  layer.Uniform("Lambda_re", {modes}, -1, -0.1);
  layer.Uniform("Lambda_im", {modes}, -100, 100);
  layer.Uniform("log_step", {modes}, -7, -2);
  AddSharedModes(layer);
}

// |λ| in [0.9, 0.999].
void AddLru(const Layer& layer) {
  const int64_t modes = layer.width() / 2;
  layer.Uniform("nu_log", {modes}, -6.9, -2.25);
  layer.Uniform("theta_log", {modes}, -3, 1.8);
  layer.Uniform("gamma_log", {modes}, -3, -0.8);
  AddSharedModes(layer);
}

// The coefficients of a denominator add up to less than 1, so that its poles lie inside the unit
// circle.
void AddRtf(const Layer& layer) {
  constexpr double kLargest = 0.9 / kStateSize;
  layer.Uniform("a", {1, kStateSize}, -kLargest, kLargest);
  layer.Uniform("b", {layer.width(), kStateSize}, -0.2, 0.2);
  AddFrame(layer, "h_0");
}

void AddHippo(const Layer& layer) {
  layer.Uniform("C", {layer.width(), kStateSize}, -0.5, 0.5);
  AddFrame(layer);
}

void AddRetNet(const Layer& layer) {
  const int64_t width = layer.width();
  layer.Matrix("q_proj.weight", width, width);
  layer.Matrix("k_proj.weight", width, width);
  layer.Matrix("v_proj.weight", 2 * width, width);
  layer.Matrix("g_proj.weight", 2 * width, width);
  layer.Matrix("out_proj.weight", width, 2 * width);
}

void AddSquareMatrices(const Layer& layer, std::initializer_list<const char*> names) {
  for (const char* name : names) layer.Matrix(name, layer.width(), layer.width());
}

void AddRwkv4(const Layer& layer) {
  AddSquareMatrices(layer, {"receptance.weight", "key.weight", "value.weight", "output.weight"});
  layer.Vectors({"time_mix_r", "time_mix_k", "time_mix_v"}, 0, 1);
  layer.Vectors({"time_decay"}, -5, 1);
  layer.Vectors({"time_first"}, -1, 1);
}

// What RWKV-5 to 7 have in common.
void AddHeads(const Layer& layer) {
  AddSquareMatrices(layer, {"receptance.weight", "key.weight", "value.weight", "output.weight"});
  layer.Vectors({"ln_x.weight"}, 0.5, 1.5);
  layer.Vectors({"ln_x.bias"}, -0.1, 0.1);
}

void AddRwkv5(const Layer& layer) {
  AddHeads(layer);
  AddSquareMatrices(layer, {"gate.weight"});
  layer.Vectors({"time_mix_r", "time_mix_k", "time_mix_v", "time_mix_g"}, 0, 1);
  layer.Vectors({"time_decay"}, -5, 1);
  layer.Vectors({"time_faaaa"}, -1, 1);
}

void AddRwkv6(const Layer& layer) {
  constexpr int64_t kMixRank = 32, kDecayRank = 64;
  const int64_t width = layer.width();
  AddHeads(layer);
  AddSquareMatrices(layer, {"gate.weight"});
  layer.Vectors(
      {"time_maa_x", "time_maa_w", "time_maa_k", "time_maa_v", "time_maa_r", "time_maa_g"}, 0, 1);
  layer.Transposed("time_maa_w1", {width, 5 * kMixRank});
  layer.Transposed("time_maa_w2", {5, kMixRank, width});
  layer.Vectors({"time_decay"}, -5, 1);
  layer.Transposed("time_decay_w1", {width, kDecayRank});
  layer.Transposed("time_decay_w2", {kDecayRank, width});
  layer.Vectors({"time_faaaa"}, -1, 1);
}

void AddRwkv7(const Layer& layer) {
  const int64_t width = layer.width();
  AddHeads(layer);
  layer.Vectors({"x_r", "x_w", "x_k", "x_v", "x_a", "x_g"}, 0, 1);
  layer.Vectors({"w0", "a0", "v0"}, -2, 2);
  const auto low_rank = [&](const std::string& name, int64_t rank) {
    rank = std::min(rank, width);
    layer.Transposed(name + "1", {width, rank});
    layer.Transposed(name + "2", {rank, width});
  };
  low_rank("w", 64);
  low_rank("a", 64);
  low_rank("v", 32);
  low_rank("g", 128);
  layer.Vectors({"k_k", "k_a"}, 0.5, 1.5);
  layer.Vectors({"r_k"}, -0.5, 0.5);
}

// RWKV's channel mixing.
struct ChannelMixing {
  int64_t half_widths = 0;         // inside: halves of d_model; 0: there is none
  std::vector<const char*> mixes;  // weights of the shift: of the key, and of a gate's receptance
};

void AddChannelMixing(const ChannelMixing& mixing, int64_t d_inner, const Layer& layer) {
  for (const char* mix : mixing.mixes) layer.Vectors({mix}, 0, 1);
  layer.Matrix("key.weight", d_inner, layer.width());
  layer.Matrix("value.weight", layer.width(), d_inner);
  if (mixing.mixes.size() > 1) AddSquareMatrices(layer, {"receptance.weight"});
}

struct Recipe {
  const char* name;
  const char* mixer;  // its members in config.json
  void (*add)(const Layer& layer);
  ChannelMixing mlp = {};  // of the mixer's type
};

const std::vector<Recipe>& Recipes() {
  static const std::vector<Recipe> recipes = {
      {"s4", R"("type": "s4", "d_state": 64)", AddS4},
      {"s4_diagonal", R"("type": "s4", "d_state": 64, "diagonal": true)", AddS4},
      {"s4d", R"("type": "s4d", "d_state": 64)", AddS4d},
      {"s5", R"("type": "s5", "d_state": HALF)", AddS5},
      {"lru", R"("type": "lru", "d_state": HALF)", AddLru},
      {"rtf", R"("type": "rtf", "d_state": 64, "num_a": 1, "trunc_len": 1024)", AddRtf},
      {"hippo_legs", R"("type": "hippo_legs", "d_state": 64)", AddHippo},
      {"hippo_legs_zoh", R"("type": "hippo_legs", "d_state": 64, "discretization": "zoh")",
       AddHippo},
      {"hippo_legt", R"("type": "hippo_legt", "d_state": 64, "window": 256)", AddHippo},
      {"retnet", R"("type": "retnet", "num_heads": 8, "d_value": DOUBLE)", AddRetNet},
      {"rwkv4", R"("type": "rwkv4")", AddRwkv4, {8, {"time_mix_k", "time_mix_r"}}},
      {"rwkv5", R"("type": "rwkv5")", AddRwkv5, {7, {"time_mix_k", "time_mix_r"}}},
      {"rwkv6", R"("type": "rwkv6")", AddRwkv6, {7, {"time_maa_k", "time_maa_r"}}},
      {"rwkv7", R"("type": "rwkv7")", AddRwkv7, {8, {"x_k"}}},
  };
  return recipes;
}

const Recipe& RecipeOf(const StackShape& shape) {
  return *std::find_if(Recipes().begin(), Recipes().end(),
                       [&](const Recipe& recipe) { return shape.mixer == recipe.name; });
}

int64_t InnerWidth(const StackShape& shape) {
  return RecipeOf(shape).mlp.half_widths * shape.d_model / 2;
}

void AddNorms(std::initializer_list<const char*> names, const Layer& place) {
  for (const std::string name : names) {
    place.Vectors({(name + ".weight").c_str()}, 0.5, 1.5);
    place.Vectors({(name + ".bias").c_str()}, -0.1, 0.1);
  }
}

}  // namespace

std::vector<std::string> RandomMixers() {
  std::vector<std::string> names;
  for (const Recipe& recipe : Recipes()) names.emplace_back(recipe.name);
  return names;
}

std::string StackConfig(const StackShape& shape) {
  const Recipe& recipe = RecipeOf(shape);
  const std::string mixer = absl::StrReplaceAll(
      recipe.mixer,
      {{"HALF", absl::StrCat(shape.d_model / 2)}, {"DOUBLE", absl::StrCat(2 * shape.d_model)}});
  const std::string mlp =
      recipe.mlp.half_widths == 0
          ? "null"
          : absl::StrFormat(R"({"type": "%s", "d_inner": %d})", recipe.name, InnerWidth(shape));
  return absl::StrFormat(
      R"({"model_type": "ssm_lm", "d_model": %d, "n_layer": %d, "vocab_size": %d,
 "norm": "layer", "tie_word_embeddings": true, "mixer": {%s}, "mlp": %s})",
      shape.d_model, shape.layers, shape.vocabulary, mixer, mlp);
}

std::vector<test::Tensor> RandomStack(const StackShape& shape, uint32_t seed) {
  test::RandomTensors tensors(seed);
  const Recipe& recipe = RecipeOf(shape);
  const auto place = [&](const char* below) {
    return Layer(shape.d_model, absl::StrCat("backbone.", below), &tensors);
  };
  place("embedding.").Uniform("weight", {shape.vocabulary, shape.d_model}, -0.2, 0.2);
  AddNorms({"layers.0.norm", "norm_f"}, place(""));
  recipe.add(place("layers.0.mixer."));
  if (recipe.mlp.half_widths > 0) {
    AddNorms({"layers.0.norm2"}, place(""));
    AddChannelMixing(recipe.mlp, InnerWidth(shape), place("layers.0.mlp."));
  }
  return tensors.Take();
}

}  // namespace ssmd::bench
