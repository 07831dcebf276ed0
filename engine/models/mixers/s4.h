// S4, the structured state space layer: A of every channel is diagonal plus low rank.
//
// Source: Gu, Goel & Ré 2022, "Efficiently Modeling Long Sequences with Structured State Spaces"
// (arXiv:2111.00396), with the tensors of the original implementation (state-spaces/s4) and its
// recurrence.
#ifndef SSMD_ENGINE_MODELS_MIXERS_S4_H_
#define SSMD_ENGINE_MODELS_MIXERS_S4_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/models/config_object.h"
#include "engine/models/mixer.h"
#include "engine/models/model_config.h"

namespace ssmd {

// `members` is the mixer object of a stack's configuration.
absl::StatusOr<std::unique_ptr<MixerFamily>> ParseS4(const ModelConfig& config,
                                                     const ConfigObject& members);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_S4_H_
