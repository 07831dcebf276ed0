#include "engine/formats/gguf_names.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/text_view.h"

namespace ssmd {
namespace {

constexpr std::string_view kBlockPrefix = "blk.";
constexpr std::string_view kLayerPrefix = "backbone.layers.";
constexpr std::string_view kMamba2Architecture = "mamba2";

// How the shape differs from what models ask for.
enum class Reshape : uint8_t {
  kNone,
  kConv,  // (channels, width), or (channels) of width 1 → (channels, 1, width)
  kFlat,  // all dimensions → one
};

enum class Family : uint8_t { kAny, kMamba1, kMamba2 };

struct NameRow {
  std::string_view gguf;
  std::string_view model;
  Family family = Family::kAny;
  Reshape reshape = Reshape::kNone;
};

constexpr NameRow kModelNames[] = {
    {"token_embd.weight", "backbone.embeddings.weight"},
    {"output_norm.weight", "backbone.norm_f.weight"},
    {"output.weight", "lm_head.weight"},
};

// Behind the layer's prefix. The first row of a GGUF name gives the model's name; a second one says
// what else is called so in errors.
constexpr NameRow kLayerNames[] = {
    {"attn_norm.weight", "norm.weight"},
    {"ssm_in.weight", "mixer.in_proj.weight"},
    {"ssm_in.bias", "mixer.in_proj.bias"},
    {"ssm_conv1d.weight", "mixer.conv1d.weight", Family::kAny, Reshape::kConv},
    {"ssm_conv1d.bias", "mixer.conv1d.bias"},
    {"ssm_x.weight", "mixer.x_proj.weight", Family::kMamba1},
    {"ssm_dt.weight", "mixer.dt_proj.weight", Family::kMamba1},
    {"ssm_dt.bias", "mixer.dt_proj.bias", Family::kMamba1},
    {"ssm_dt.bias", "mixer.dt_bias", Family::kMamba2},
    {"ssm_a", "mixer.A", Family::kMamba1},
    {"ssm_a", "mixer.A", Family::kMamba2, Reshape::kFlat},
    {"ssm_a", "mixer.A_log"},
    {"ssm_d", "mixer.D", Family::kMamba1},
    {"ssm_d", "mixer.D", Family::kMamba2, Reshape::kFlat},
    {"ssm_norm.weight", "mixer.norm.weight", Family::kMamba2, Reshape::kFlat},
    {"ssm_out.weight", "mixer.out_proj.weight"},
    {"ssm_out.bias", "mixer.out_proj.bias"},
};

// A name of one of a model's layers, cut: "blk.3." is the layer "3" and the rest.
struct LayerName {
  std::string_view layer;
  std::string_view rest;
};
std::optional<LayerName> CutLayerName(std::string_view prefix, std::string_view name) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  const size_t dot = name.find('.');
  if (dot == 0 || dot == name.npos) return std::nullopt;
  const std::string_view layer = name.substr(0, dot);
  const bool digits =
      std::all_of(layer.begin(), layer.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits) return std::nullopt;
  return LayerName{layer, name.substr(dot + 1)};
}

bool IsOf(Family family, std::string_view architecture) {
  return family == Family::kAny ||
         (family == Family::kMamba2) == (architecture == kMamba2Architecture);
}

void ChangeShape(Reshape reshape, TensorInfo* tensor) {
  std::vector<int64_t>& shape = tensor->shape;
  if (reshape == Reshape::kFlat) shape = {tensor->elements};
  if (reshape != Reshape::kConv) return;
  if (shape.size() == 1) shape.push_back(1);
  if (shape.size() == 2) shape.insert(shape.begin() + 1, 1);
}

}  // namespace

void TakeModelName(std::string_view architecture, TensorInfo* tensor) {
  for (const NameRow& row : kModelNames) {
    if (tensor->name == row.gguf) tensor->model_name = std::string(row.model);
  }
  const auto cut = CutLayerName(kBlockPrefix, tensor->name);
  if (!cut) return;
  for (const NameRow& row : kLayerNames) {
    if (cut->rest != row.gguf || !IsOf(row.family, architecture)) continue;
    tensor->model_name = absl::StrCat(View(kLayerPrefix), View(cut->layer), ".", View(row.model));
    ChangeShape(row.reshape, tensor);
    return;
  }
}

std::string GgufNameOf(std::string_view architecture, std::string_view model_name) {
  for (const NameRow& row : kModelNames) {
    if (model_name == row.model) return std::string(row.gguf);
  }
  if (const auto cut = CutLayerName(kLayerPrefix, model_name)) {
    for (const NameRow& row : kLayerNames) {
      if (cut->rest == row.model && IsOf(row.family, architecture)) {
        return absl::StrCat(View(kBlockPrefix), View(cut->layer), ".", View(row.gguf));
      }
    }
  }
  return std::string(model_name);
}

}  // namespace ssmd
