// S5 and LRU: complex modes that all channels share, between two matrix products.
//
// Sources: Smith, Warrington & Linderman 2023, "Simplified State Space Layers for Sequence
// Modeling" (arXiv:2208.04933), as lindermanlab/S5 computes it; Orvieto et al. 2023, "Resurrecting
// Recurrent Neural Networks for Long Sequences" (arXiv:2303.06349).
#ifndef SSMD_ENGINE_MODELS_MIXERS_S5_H_
#define SSMD_ENGINE_MODELS_MIXERS_S5_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/models/config_object.h"
#include "engine/models/mixer.h"
#include "engine/models/model_config.h"

namespace ssmd {

// `members` is the mixer object of a stack's configuration.
absl::StatusOr<std::unique_ptr<MixerFamily>> ParseS5(const ModelConfig& config,
                                                     const ConfigObject& members);
absl::StatusOr<std::unique_ptr<MixerFamily>> ParseLru(const ModelConfig& config,
                                                      const ConfigObject& members);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_S5_H_
