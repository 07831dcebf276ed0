// What the configurations of Mamba-1 and Mamba-2 share: where their members are, and the inner
// width.
#ifndef SSMD_ENGINE_MODELS_MIXERS_SSM_CONFIG_H_
#define SSMD_ENGINE_MODELS_MIXERS_SSM_CONFIG_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/models/config_object.h"
#include "engine/models/model_config.h"

namespace ssmd {

// The object that has the mixer's members: config.json itself, or ssm_cfg of the original spelling,
// or, in a stack of ssm_lm, `root`, which is the mixer's own. In the last two a member beyond
// `known` is INVALID_ARGUMENT: it would be passed to the layer's constructor.
absl::StatusOr<ConfigObject> MixerMembers(const ModelConfig& config, const ConfigObject& root,
                                          std::span<const std::string_view> known);

// intermediate_size where the Hugging Face spelling has it, else `expand` (2) times d_model.
absl::StatusOr<int64_t> InnerWidth(const ModelConfig& config, const ConfigObject& members);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_SSM_CONFIG_H_
