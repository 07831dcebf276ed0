// Mamba-1, the selective state space layer (S6), and Falcon-Mamba, which is Mamba-1 with weightless
// RMS norms on dt, B and C.
//
// Source: Gu & Dao 2023, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces"
// (arXiv:2312.00752), algorithm 2; Zuo et al. 2024, "Falcon Mamba" (arXiv:2410.05355).
#ifndef SSMD_ENGINE_MODELS_MIXERS_MAMBA_H_
#define SSMD_ENGINE_MODELS_MIXERS_MAMBA_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/models/config_object.h"
#include "engine/models/mixer.h"
#include "engine/models/model_config.h"

namespace ssmd {

absl::StatusOr<std::unique_ptr<MixerFamily>> ParseMamba(const ModelConfig& config,
                                                        const ConfigObject& root);
absl::StatusOr<std::unique_ptr<MixerFamily>> ParseFalconMamba(const ModelConfig& config,
                                                              const ConfigObject& root);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_MAMBA_H_
