// The sizes of Mamba-1 layers, read from a configuration in any spelling.
#ifndef SSMD_ENGINE_MODELS_MIXERS_MAMBA_CONFIG_H_
#define SSMD_ENGINE_MODELS_MIXERS_MAMBA_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/models/config_object.h"
#include "engine/models/model_config.h"

namespace ssmd {

struct MambaConfig {
  int64_t d_model = 0;
  int64_t d_inner = 0;
  int64_t state_size = 0;
  int64_t conv_width = 0;
  int64_t dt_rank = 0;
  std::optional<bool> bias;              // of in_proj and out_proj; absent: as the tensors are
  std::optional<bool> conv_bias;         // absent: as the tensors are
  std::optional<double> dt_bc_norm_eps;  // Falcon-Mamba's norms; absent: none

  std::string Describe() const;
};

// `falcon` asks for the norms on dt, B and C.
absl::StatusOr<MambaConfig> ParseMambaConfig(const ModelConfig& config, const ConfigObject& root,
                                             bool falcon);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_MAMBA_CONFIG_H_
