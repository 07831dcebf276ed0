// Whole RetNet models: the plan of their stack, from config.json in the words of torchscale's
// RetNetConfig, which its port to Hugging Face's library shares (model_type "retnet").
#ifndef SSMD_ENGINE_MODELS_RETNET_MODEL_H_
#define SSMD_ENGINE_MODELS_RETNET_MODEL_H_

#include "absl/status/statusor.h"
#include "engine/models/config_object.h"
#include "engine/models/model_config.h"
#include "engine/models/stack.h"

namespace ssmd {

absl::StatusOr<Stack> PlanRetNetModel(const ModelConfig& config, const ConfigObject& root);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_RETNET_MODEL_H_
