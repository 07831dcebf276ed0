// A memory as a LanguageModel, whose tokens are samples (kernels/memory_ops.h): sessions and all
// that is made of them need to know no more. It has no logits.
#ifndef SSMD_ENGINE_MODELS_MEMORY_MODEL_H_
#define SSMD_ENGINE_MODELS_MEMORY_MODEL_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/models/language_model.h"
#include "engine/models/memory_config.h"
#include "engine/models/memory_tables.h"

namespace ssmd {

// Names of the state's fields: (channels, N), (channels, 2).
inline constexpr char kMemoryCoefficients[] = "coefficients";
inline constexpr char kMemoryEnergy[] = "energy";

// INVALID_ARGUMENT for options that a memory has no use for; RESOURCE_EXHAUSTED where the device's
// memory is. `device` must outlive the model.
absl::StatusOr<std::unique_ptr<LanguageModel>> MakeMemoryModel(const MemoryConfig& config,
                                                               const ModelLoadOptions& options,
                                                               kernels::Device* device);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MEMORY_MODEL_H_
