// RetNet's retention: a matrix state per head with one constant decay, over rotated keys.
//
// Source: Sun et al. 2023, "Retentive Network: A Successor to Transformer for Large Language
// Models" (arXiv:2307.08621), as microsoft/torchscale computes it.
#ifndef SSMD_ENGINE_MODELS_MIXERS_RETNET_H_
#define SSMD_ENGINE_MODELS_MIXERS_RETNET_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/models/config_object.h"
#include "engine/models/mixer.h"
#include "engine/models/model_config.h"

namespace ssmd {

// `members` is the mixer object of a stack's configuration.
absl::StatusOr<std::unique_ptr<MixerFamily>> ParseRetNet(const ModelConfig& config,
                                                         const ConfigObject& members);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_RETNET_H_
