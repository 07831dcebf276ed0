#include "engine/formats/model_names.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/text_view.h"

namespace ssmd {
namespace {

// What a name begins with.
struct PrefixRow {
  std::string_view file;
  std::string_view model;
};
constexpr std::string_view kRwkvLayers = "blocks.";

constexpr std::string_view kHuggingFaceLayers = "rwkv.blocks.";
constexpr PrefixRow kHuggingFaceModel[] = {{"rwkv.embeddings.", "emb."},
                                           {"rwkv.ln_out.", "ln_out."}};
constexpr PrefixRow kHuggingFaceLayer[] = {
    {"attention.", "att."}, {"feed_forward.", "ffn."}, {"pre_ln.", "ln0."}};

constexpr std::string_view kFlaLayers = "model.layers.";
constexpr PrefixRow kFlaModel[] = {
    {"model.embeddings.", "emb."}, {"model.norm.", "ln_out."}, {"lm_head.", "head."}};
constexpr PrefixRow kFlaLayer[] = {
    {"attn.r_proj.", "att.receptance."},
    {"attn.k_proj.", "att.key."},
    {"attn.v_proj.", "att.value."},
    {"attn.o_proj.", "att.output."},
    {"attn.g_norm.", "att.ln_x."},
    {"attn.w_lora.lora.0.", "att.w1."},
    {"attn.w_lora.lora.2.bias", "att.w0"},
    {"attn.w_lora.lora.2.", "att.w2."},
    {"attn.a_lora.lora.0.", "att.a1."},
    {"attn.a_lora.lora.2.bias", "att.a0"},
    {"attn.a_lora.lora.2.", "att.a2."},
    {"attn.v_lora.lora.0.", "att.v1."},
    {"attn.v_lora.lora.2.bias", "att.v0"},
    {"attn.v_lora.lora.2.", "att.v2."},
    {"attn.g_lora.lora.0.", "att.g1."},
    {"attn.g_lora.lora.2.", "att.g2."},
    {"attn.", "att."},
    {"pre_norm.", "ln0."},
    {"attn_norm.", "ln1."},
    {"ffn_norm.", "ln2."},
};

constexpr std::string_view kRetNetLayers = "model.layers.";
constexpr std::string_view kTorchscaleLayers = "layers.";
constexpr PrefixRow kTorchscaleModel[] = {{"embed_tokens.", "model.embed_tokens."},
                                          {"layernorm_embedding.", "model.layernorm_embedding."},
                                          {"layer_norm.", "model.layer_norm."},
                                          {"retnet_rel_pos.", "model.retnet_rel_pos."},
                                          {"output_projection.", "lm_head."}};

struct Names {
  PrefixRow layers;  // what names of layers begin with
  std::span<const PrefixRow> model;
  std::span<const PrefixRow> layer;
};
Names NamesOf(ModelNaming naming) {
  if (naming == ModelNaming::kHuggingFaceRwkv) {
    return {{kHuggingFaceLayers, kRwkvLayers}, kHuggingFaceModel, kHuggingFaceLayer};
  }
  if (naming == ModelNaming::kFlaRwkv) return {{kFlaLayers, kRwkvLayers}, kFlaModel, kFlaLayer};
  if (naming == ModelNaming::kTorchscaleRetNet) {
    return {{kTorchscaleLayers, kRetNetLayers}, kTorchscaleModel, {}};
  }
  return {{kRwkvLayers, kRwkvLayers}, {}, {}};
}

using Column = std::string_view PrefixRow::*;

// The name with the first prefix that fits exchanged.
std::optional<std::string> Exchange(std::span<const PrefixRow> rows, Column from, Column to,
                                    std::string_view name) {
  for (const PrefixRow& row : rows) {
    if (name.starts_with(row.*from)) {
      return absl::StrCat(View(row.*to), View(name.substr((row.*from).size())));
    }
  }
  return std::nullopt;
}

std::string Rename(const Names& names, Column from, Column to, std::string_view name) {
  if (const auto renamed = Exchange(names.model, from, to, name)) return *renamed;
  const std::string_view layers = names.layers.*from;
  if (!name.starts_with(layers)) return std::string(name);
  const std::string_view rest = name.substr(layers.size());
  const size_t dot = rest.find('.');
  if (dot == rest.npos) return std::string(name);
  const std::string_view within = rest.substr(dot + 1);
  const auto renamed = Exchange(names.layer, from, to, within);
  return absl::StrCat(View(names.layers.*to), View(rest.substr(0, dot + 1)),
                      renamed ? *renamed : std::string(within));
}

// Forms of tensors that rwkv.cpp's converter changes, by how their names end.
struct FormRow {
  int version;
  std::string_view end;
  std::string_view suffix;
};
constexpr FormRow kRwkvCppForms[] = {
    {4, "att.time_decay", ".rate"},
    {5, "att.time_decay", ".factor"},
    {5, "att.time_first", ".factor"},
    {6, "att.time_maa_w1", ".weight"},
    {6, "att.time_maa_w2", ".weight"},
    {6, "att.time_decay_w1", ".weight"},
    {6, "att.time_decay_w2", ".weight"},
    {7, "att.w1", ".weight"},
    {7, "att.w2", ".weight"},
    {7, "att.a1", ".weight"},
    {7, "att.a2", ".weight"},
    {7, "att.v1", ".weight"},
    {7, "att.v2", ".weight"},
    {7, "att.g1", ".weight"},
    {7, "att.g2", ".weight"},
};

// Tensors with the weights of the shifts of RWKV-7 for these, side by side.
constexpr std::string_view kJoinedShifts[] = {".att.x_rwkvag", ".att.x_x"};
constexpr std::string_view kShiftLetters = "rwkvag";

// Cuts such a tensor; false where it is none.
bool CutShifts(const TensorInfo& joined, std::vector<TensorInfo>* out) {
  const std::string& name = joined.key();
  const auto end = std::find_if(std::begin(kJoinedShifts), std::end(kJoinedShifts),
                                [&](std::string_view e) { return name.ends_with(e); });
  const auto parts = static_cast<int64_t>(kShiftLetters.size());
  if (end == std::end(kJoinedShifts) || joined.shape.size() < 2 || joined.shape[0] != parts) {
    return false;
  }
  const std::string prefix = name.substr(0, name.size() - end->size());
  for (size_t i = 0; i < kShiftLetters.size(); ++i) {
    TensorInfo part = joined;
    part.name = absl::StrCat(joined.name, "[", i, "]");
    part.model_name = absl::StrCat(prefix, ".att.x_", std::string(1, kShiftLetters[i]));
    part.elements = joined.elements / parts;
    part.shape = {part.elements};
    part.bytes = joined.bytes / kShiftLetters.size();
    part.data = joined.data + i * part.bytes;
    out->push_back(std::move(part));
  }
  return true;
}

bool HasKey(const std::vector<TensorInfo>& tensors, std::string_view key) {
  return std::any_of(tensors.begin(), tensors.end(),
                     [&](const TensorInfo& tensor) { return tensor.key() == key; });
}

}  // namespace

ModelNaming FolderNaming(const std::vector<TensorInfo>& tensors) {
  if (HasKey(tensors, "rwkv.embeddings.weight")) return ModelNaming::kHuggingFaceRwkv;
  const bool fla =
      HasKey(tensors, "model.embeddings.weight") && HasKey(tensors, "model.layers.0.attn.r_k");
  if (fla) return ModelNaming::kFlaRwkv;
  const bool torchscale = HasKey(tensors, "layers.0.retention.q_proj.weight");
  return torchscale ? ModelNaming::kTorchscaleRetNet : ModelNaming::kNone;
}

void TakeModelNames(ModelNaming naming, std::vector<TensorInfo>* tensors) {
  if (naming == ModelNaming::kNone) return;
  const int version = naming == ModelNaming::kRwkvCpp ? RwkvVersionOf(*tensors) : 0;
  const Names names = NamesOf(naming);
  std::vector<TensorInfo> named;
  named.reserve(tensors->size());
  for (TensorInfo& tensor : *tensors) {
    std::string model_name = Rename(names, &PrefixRow::file, &PrefixRow::model, tensor.name);
    for (const FormRow& form : kRwkvCppForms) {
      if (form.version == version && model_name.ends_with(form.end)) {
        absl::StrAppend(&model_name, View(form.suffix));
      }
    }
    tensor.model_name = std::move(model_name);
    if (!CutShifts(tensor, &named)) named.push_back(std::move(tensor));
  }
  *tensors = std::move(named);
}

std::string FileNameOf(ModelNaming naming, std::string_view model_name) {
  const Names names = NamesOf(naming);
  return Rename(names, &PrefixRow::model, &PrefixRow::file, model_name);
}

int RwkvVersionOf(const std::vector<TensorInfo>& tensors) {
  constexpr std::pair<std::string_view, int> kSigns[] = {
      {"r_k", 7}, {"time_maa_x", 6}, {"ln_x.weight", 5}, {"time_first", 4}};
  for (const auto& [sign, version] : kSigns) {
    if (HasKey(tensors, absl::StrCat("blocks.0.att.", View(sign)))) return version;
  }
  return 0;
}

}  // namespace ssmd
