// The architectures that can be served, by the name that config.json gives them.
#ifndef SSMD_ENGINE_MODELS_REGISTRY_H_
#define SSMD_ENGINE_MODELS_REGISTRY_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "engine/models/config_object.h"
#include "engine/models/model_config.h"
#include "engine/models/stack.h"

namespace ssmd {

bool IsArchitecture(std::string_view name);

// INVALID_ARGUMENT lists the known names where config.architecture is none of them.
absl::StatusOr<Stack> PlanStack(const ModelConfig& config, const ConfigObject& root);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_REGISTRY_H_
