// S4D, S4 with a diagonal A.
//
// Source: Gu, Gupta, Goel & Ré 2022, "On the Parameterization and Initialization of Diagonal State
// Space Models" (arXiv:2206.11893).
#ifndef SSMD_ENGINE_MODELS_MIXERS_S4D_H_
#define SSMD_ENGINE_MODELS_MIXERS_S4D_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/models/config_object.h"
#include "engine/models/mixer.h"
#include "engine/models/model_config.h"

namespace ssmd {

// `members` is the mixer object of a stack's configuration.
absl::StatusOr<std::unique_ptr<MixerFamily>> ParseS4d(const ModelConfig& config,
                                                      const ConfigObject& members);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_S4D_H_
