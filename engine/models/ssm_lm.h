// `ssm_lm`: language models from any state-space layers, one kind throughout or a stack that mixes
// them. engine/models/README.md describes the files.
#ifndef SSMD_ENGINE_MODELS_SSM_LM_H_
#define SSMD_ENGINE_MODELS_SSM_LM_H_

#include "absl/status/statusor.h"
#include "engine/models/config_object.h"
#include "engine/models/model_config.h"
#include "engine/models/stack.h"

namespace ssmd {

// `root` is the object of config.json. INVALID_ARGUMENT names the member that is wrong.
absl::StatusOr<Stack> PlanSsmLm(const ModelConfig& config, const ConfigObject& root);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_SSM_LM_H_
