// The sizes and variants of Mamba-2 layers, read from config.json in any spelling.
#ifndef SSMD_ENGINE_MODELS_MIXERS_MAMBA2_CONFIG_H_
#define SSMD_ENGINE_MODELS_MIXERS_MAMBA2_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/models/config_object.h"
#include "engine/models/model_config.h"
#include "kernels/ops.h"

namespace ssmd {

struct Mamba2Config {
  int64_t d_model = 0;
  int64_t heads = 0;
  int64_t head_dim = 0;
  int64_t groups = 0;  // of heads that share B and C; the norm has the same
  int64_t state_size = 0;
  int64_t conv_width = 0;
  // kGateOnly: the layer has no norm.
  kernels::GateOrder gate_order = kernels::GateOrder::kGateFirst;
  double norm_eps = 0;
  double dt_min = 0;  // bounds of Δ, in prompts and single tokens alike
  double dt_max = 0;
  bool d_per_channel = false;     // D is (heads · head_dim), not (heads)
  std::optional<bool> bias;       // of in_proj and out_proj; absent: as the tensors are
  std::optional<bool> conv_bias;  // absent: as the tensors are

  int64_t d_inner() const { return heads * head_dim; }
  // x, B and C, which are convolved together.
  int64_t conv_channels() const { return d_inner() + 2 * groups * state_size; }
  // What in_proj gives: z, x, B, C, dt.
  int64_t projection() const { return d_inner() + conv_channels() + heads; }

  std::string Describe() const;
};

absl::StatusOr<Mamba2Config> ParseMamba2Config(const ModelConfig& config, const ConfigObject& root);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_MAMBA2_CONFIG_H_
