#include "engine/models/ssm_lm.h"

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status_macros.h"
#include "engine/formats/quoted.h"
#include "engine/models/mixers/hippo.h"
#include "engine/models/mixers/mamba.h"
#include "engine/models/mixers/mamba2.h"
#include "engine/models/mixers/mlp.h"
#include "engine/models/mixers/retnet.h"
#include "engine/models/mixers/rtf.h"
#include "engine/models/mixers/rwkv.h"
#include "engine/models/mixers/s4.h"
#include "engine/models/mixers/s4d.h"
#include "engine/models/mixers/s5.h"

namespace ssmd {
namespace {

constexpr std::string_view kModelMembers[] = {
    "model_type", "d_model", "n_layer", "vocab_size",          "norm",         "norm_eps",
    "mixer",      "mlp",     "layers",  "tie_word_embeddings", "bos_token_id", "eos_token_id"};
constexpr std::string_view kLayerMembers[] = {"mixer", "mlp"};
constexpr std::string_view kNullInLayer[] = {"mlp"};  // null: none

using ParseFamily = absl::StatusOr<std::unique_ptr<MixerFamily>> (*)(const ModelConfig& config,
                                                                     const ConfigObject& members);
struct Kind {
  std::string_view name;
  ParseFamily parse;
};
constexpr Kind kMixers[] = {
    {"mamba", ParseMamba},
    {"mamba2", ParseMamba2},
    {"s4", ParseS4},
    {"s4d", ParseS4d},
    {"s5", ParseS5},
    {"lru", ParseLru},
    {"rtf", ParseRtf},
    {"hippo_legs", ParseHippoLegs},
    {"hippo_legt", ParseHippoLegt},
    {"retnet", ParseRetNet},
    {"rwkv4", ParseRwkvTimeMixing<4>},
    {"rwkv5", ParseRwkvTimeMixing<5>},
    {"rwkv6", ParseRwkvTimeMixing<6>},
    {"rwkv7", ParseRwkvTimeMixing<7>},
};
constexpr Kind kMlps[] = {
    {"swiglu", ParseSwiGlu},
    {"gelu", ParseGeluMlp},
    {"rwkv4", ParseRwkvChannelMixing<4>},
    {"rwkv5", ParseRwkvChannelMixing<5>},
    {"rwkv6", ParseRwkvChannelMixing<6>},
    {"rwkv7", ParseRwkvChannelMixing<7>},
};

// Plans the blocks one after another; layers that are described alike share a family.
class Planner {
 public:
  explicit Planner(const ModelConfig& config) : config_(config) {}

  absl::Status AddLayer(const ConfigObject& mixer, const ConfigObject& mlp) {
    const std::string prefix = absl::StrCat("backbone.layers.", layer_, ".");
    SSMD_ASSIGN_OR_RETURN(const MixerFamily* family, Family(mixer, kMixers));
    stack_.blocks.push_back({prefix + "norm", prefix + "mixer.", layer_, family});
    if (!mlp.absent()) {
      SSMD_ASSIGN_OR_RETURN(family, Family(mlp, kMlps));
      stack_.blocks.push_back({prefix + "norm2", prefix + "mlp.", layer_, family});
    }
    ++layer_;
    return absl::OkStatus();
  }

  Stack Take() {
    stack_.embedding = {"backbone.embedding.weight", "backbone.embeddings.weight"};
    stack_.final_norm = "backbone.norm_f";
    stack_.head = "lm_head.weight";
    return std::move(stack_);
  }

 private:
  absl::StatusOr<const MixerFamily*> Family(const ConfigObject& members,
                                            std::span<const Kind> kinds) {
    SSMD_RETURN_IF_ERROR(members.RefuseNull());
    SSMD_ASSIGN_OR_RETURN(const std::string type, members.StringOr("type", ""));
    std::vector<std::string> known;
    for (const Kind& kind : kinds) {
      known.emplace_back(kind.name);
      if (kind.name != type) continue;
      SSMD_ASSIGN_OR_RETURN(std::unique_ptr<MixerFamily> family, kind.parse(config_, members));
      const auto [at, made] =
          by_description_.emplace(absl::StrCat(type, " ", family->Describe()), family.get());
      if (made) stack_.families.push_back(std::move(family));
      return at->second;
    }
    return members.Error("type", absl::StrCat(members.Has("type") ? "" : "is missing: it ",
                                              "must be one of ", absl::StrJoin(known, ", "),
                                              members.Has("type") ? ", got " + Quoted(type) : ""));
  }

  const ModelConfig& config_;
  Stack stack_;
  std::map<std::string, const MixerFamily*> by_description_;
  int layer_ = 0;
};

// Entry i of `layers`, which has as many as there are layers; an empty one where it is absent.
absl::StatusOr<ConfigObject> LayerMembers(const ConfigObject& root, int64_t layers, int64_t i) {
  const auto list = root.Find("layers");
  if (!list) return ConfigObject(std::nullopt, "");
  const bool fits = list->is_array() && static_cast<int64_t>(list->elements().size()) == layers;
  if (!fits) {
    return root.Error("layers", absl::StrCat("must be a list of n_layer = ", layers, " objects"));
  }
  const JsonValue entry = list->elements()[static_cast<size_t>(i)];
  if (!entry.is_object()) {
    return root.Error(
        "layers", absl::StrCat("has ", entry.Describe(), " where entry ", i, " must be an object"));
  }
  ConfigObject members(entry, root.NameOf(absl::StrCat("layers[", i, "].")));
  SSMD_RETURN_IF_ERROR(members.AllowOnly(kLayerMembers));
  SSMD_RETURN_IF_ERROR(members.RefuseNull(kNullInLayer));
  return members;
}

// The layer's own `key`, or the model's. An own one that is null is an empty one.
absl::StatusOr<ConfigObject> OwnOrDefault(const ConfigObject& layer, const ConfigObject& root,
                                          std::string_view key) {
  return layer.Mentions(key) ? layer.Object(key) : root.Object(key);
}

absl::StatusOr<bool> CentredNorms(const ConfigObject& root) {
  SSMD_ASSIGN_OR_RETURN(const std::string norm, root.StringOr("norm", "rms"));
  if (norm == "rms" || norm == "layer") return norm == "layer";
  return root.Error("norm", absl::StrCat("must be \"rms\" or \"layer\", got ", Quoted(norm)));
}

}  // namespace

absl::StatusOr<Stack> PlanSsmLm(const ModelConfig& config, const ConfigObject& root) {
  SSMD_RETURN_IF_ERROR(root.AllowOnly(kModelMembers));
  Planner planner(config);
  for (int64_t i = 0; i < config.layers; ++i) {
    SSMD_ASSIGN_OR_RETURN(const ConfigObject layer, LayerMembers(root, config.layers, i));
    SSMD_ASSIGN_OR_RETURN(const ConfigObject mixer, OwnOrDefault(layer, root, "mixer"));
    if (mixer.absent()) {
      return root.Error("mixer", absl::StrCat("is missing, and layer ", i, " has none of its own"));
    }
    SSMD_ASSIGN_OR_RETURN(const ConfigObject mlp, OwnOrDefault(layer, root, "mlp"));
    SSMD_RETURN_IF_ERROR(planner.AddLayer(mixer, mlp));
  }
  Stack stack = planner.Take();
  SSMD_ASSIGN_OR_RETURN(stack.centred_norms, CentredNorms(root));
  return stack;
}

}  // namespace ssmd
