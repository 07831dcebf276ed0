// RTF, a rational transfer function a channel.
//
// Source: Parnichkun et al. 2024, "State-Free Inference of State-Space Models: The Transfer
// Function Approach" (arXiv:2405.06147), with the tensors of ruke1ire/RTF; prepare_rtf.h says where
// its recurrence is not followed.
#ifndef SSMD_ENGINE_MODELS_MIXERS_RTF_H_
#define SSMD_ENGINE_MODELS_MIXERS_RTF_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/models/config_object.h"
#include "engine/models/mixer.h"
#include "engine/models/model_config.h"

namespace ssmd {

// `members` is the mixer object of a stack's configuration.
absl::StatusOr<std::unique_ptr<MixerFamily>> ParseRtf(const ModelConfig& config,
                                                      const ConfigObject& members);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_RTF_H_
