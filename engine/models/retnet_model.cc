#include "engine/models/retnet_model.h"

#include <cmath>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/formats/json.h"
#include "engine/formats/quoted.h"
#include "engine/models/mixers/mlp.h"
#include "engine/models/mixers/retnet.h"

namespace ssmd {
namespace {

constexpr double kRetentionNormEps = 1e-6;  // the mixer's, which has no other

// Members that ask for another model where they are not as they are by default.
struct FlagRow {
  std::string_view key;
  bool required;
  std::string_view otherwise;
};
constexpr FlagRow kFlags[] = {
    {"decoder_normalize_before", true, "is false: norms behind the layers are not supported"},
    {"deepnorm", false, "is true, which is not supported"},
    {"use_lm_decay", false, "is true: other decays than 1 - 2^(-5-head) are not supported"},
    {"use_glu", true, "is false: a feed-forward network without a gate is not supported"},
};

absl::Status RefuseRetNetVariants(const ModelConfig& config, const ConfigObject& root) {
  for (const FlagRow& flag : kFlags) {
    SSMD_ASSIGN_OR_RETURN(const auto value, root.Bool(flag.key));
    if (value.value_or(flag.required) != flag.required) return root.Error(flag.key, flag.otherwise);
  }
  SSMD_ASSIGN_OR_RETURN(const std::string activation, root.StringOr("activation_fn", "gelu"));
  if (activation != "swish") {
    return root.Error("activation_fn", absl::StrCat("must be \"swish\", got ", Quoted(activation)));
  }
  if (config.norm_eps == kRetentionNormEps) return absl::OkStatus();
  return root.Error("layernorm_eps",
                    absl::StrCat("must be ", kRetentionNormEps, ", got ", config.norm_eps));
}

absl::StatusOr<std::unique_ptr<MixerFamily>> MakeRetention(const ModelConfig& config,
                                                           const ConfigObject& root) {
  SSMD_ASSIGN_OR_RETURN(const int64_t heads,
                        root.Int("decoder_retention_heads", 1, kMaxModelWidth));
  SSMD_ASSIGN_OR_RETURN(const int64_t d_value,
                        root.Int("decoder_value_embed_dim", 1, kMaxInnerWidth));
  const std::string json = absl::StrCat("{\"num_heads\":", heads, ",\"d_value\":", d_value, "}");
  SSMD_ASSIGN_OR_RETURN(const JsonDocument members,
                        JsonDocument::Parse(json, "retention", JsonLimits()));
  return ParseRetNet(config, ConfigObject(members.root(), root.NameOf("retention.")));
}

}  // namespace

absl::StatusOr<Stack> PlanRetNetModel(const ModelConfig& config, const ConfigObject& root) {
  SSMD_RETURN_IF_ERROR(RefuseRetNetVariants(config, root));
  SSMD_ASSIGN_OR_RETURN(const int64_t hidden, root.Int("decoder_ffn_embed_dim", 1, kMaxInnerWidth));
  SSMD_ASSIGN_OR_RETURN(std::unique_ptr<MixerFamily> retention, MakeRetention(config, root));
  SSMD_ASSIGN_OR_RETURN(const auto unscaled, root.Bool("no_scale_embedding"));
  SSMD_ASSIGN_OR_RETURN(const auto embedding_norm, root.Bool("layernorm_embedding"));
  Stack stack;
  stack.embedding = {"model.embed_tokens.weight"};
  if (!unscaled.value_or(true)) {
    stack.embedding_scale = std::sqrt(static_cast<double>(config.d_model));
  }
  if (embedding_norm.value_or(false)) stack.embedding_norm = "model.layernorm_embedding";
  stack.final_norm = "model.layer_norm";
  stack.head = "lm_head.weight";
  stack.ignored = {"model.retnet_rel_pos.angle", "model.retnet_rel_pos.decay"};
  stack.families.push_back(std::move(retention));
  stack.families.push_back(MakeSplitSwiGlu(config.d_model, hidden));
  for (int i = 0; i < config.layers; ++i) {
    const std::string layer = absl::StrCat("model.layers.", i, ".");
    stack.blocks.push_back(
        {layer + "retention_layer_norm", layer + "retention.", i, stack.families[0].get()});
    stack.blocks.push_back(
        {layer + "final_layer_norm", layer + "ffn.", i, stack.families[1].get()});
  }
  return stack;
}

}  // namespace ssmd
