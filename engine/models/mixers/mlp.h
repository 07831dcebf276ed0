// The MLPs of a stack: blocks without a state, each token by itself.
//
// `swiglu`: Shazeer 2020, "GLU Variants Improve Transformer" (arXiv:2002.05202), with the tensors
// of mamba_ssm's GatedMLP; `gelu`: Vaswani et al. 2017, with GELU for ReLU (Hendrycks & Gimpel
// 2016).
#ifndef SSMD_ENGINE_MODELS_MIXERS_MLP_H_
#define SSMD_ENGINE_MODELS_MIXERS_MLP_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "engine/models/config_object.h"
#include "engine/models/mixer.h"
#include "engine/models/model_config.h"

namespace ssmd {

// `members` is the mlp object of a stack's configuration: type and d_inner.
absl::StatusOr<std::unique_ptr<MixerFamily>> ParseSwiGlu(const ModelConfig& config,
                                                         const ConfigObject& members);
absl::StatusOr<std::unique_ptr<MixerFamily>> ParseGeluMlp(const ModelConfig& config,
                                                          const ConfigObject& members);

// swiglu as torchscale's GLU has it: fc1, the one behind silu, and gate are matrices of their own.
std::unique_ptr<MixerFamily> MakeSplitSwiGlu(int64_t d_model, int64_t d_inner);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_MLP_H_
