// Mamba-2, the state space layer with a matrix state and one decay per head (SSD).
//
// Source: Dao & Gu 2024, "Transformers are SSMs: Generalized Models and Efficient Algorithms
// Through Structured State Space Duality" (arXiv:2405.21060), as the original implementation
// (state-spaces/mamba) computes it.
#ifndef SSMD_ENGINE_MODELS_MIXERS_MAMBA2_H_
#define SSMD_ENGINE_MODELS_MIXERS_MAMBA2_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/models/config_object.h"
#include "engine/models/mixer.h"
#include "engine/models/model_config.h"

namespace ssmd {

absl::StatusOr<std::unique_ptr<MixerFamily>> ParseMamba2(const ModelConfig& config,
                                                         const ConfigObject& root);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_MAMBA2_H_
