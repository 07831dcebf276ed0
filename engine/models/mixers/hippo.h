// The HiPPO memories as layers: the state is the projection of each channel's history onto Legendre
// polynomials, and the output is learnt from it.
//
// Source: Gu, Dao, Ermon, Rudra & Ré 2020, "HiPPO: Recurrent Memory with Optimal Polynomial
// Projections" (arXiv:2008.07669): LegS, of the whole session with its time scaled as it grows, and
// LegT, of a sliding window.
#ifndef SSMD_ENGINE_MODELS_MIXERS_HIPPO_H_
#define SSMD_ENGINE_MODELS_MIXERS_HIPPO_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/models/config_object.h"
#include "engine/models/mixer.h"
#include "engine/models/model_config.h"

namespace ssmd {

// `members` is the mixer object of a stack's configuration.
absl::StatusOr<std::unique_ptr<MixerFamily>> ParseHippoLegs(const ModelConfig& config,
                                                            const ConfigObject& members);
absl::StatusOr<std::unique_ptr<MixerFamily>> ParseHippoLegt(const ModelConfig& config,
                                                            const ConfigObject& members);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_HIPPO_H_
