#include "engine/models/mixers/mamba_config.h"

#include <string_view>

#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/models/mixers/gguf_ssm.h"
#include "engine/models/mixers/ssm_config.h"
#include "kernels/ops.h"

namespace ssmd {
namespace {

constexpr int64_t kDefaultStateSize = 16;
constexpr int64_t kDefaultConvWidth = 4;
constexpr double kDefaultMixerNormEps = 1e-6;

// The two spellings of one thing.
struct Keys {
  std::string_view state_size, conv_width, dt_rank, bias, conv_bias;
};
constexpr Keys kHuggingFaceKeys = {"state_size", "conv_kernel", "time_step_rank", "use_bias",
                                   "use_conv_bias"};
constexpr Keys kOriginalKeys = {"d_state", "d_conv", "dt_rank", "bias", "conv_bias"};

// All that the original ssm_cfg may hold. The last ones matter only when a model is made, not when
// it runs.
constexpr std::string_view kMambaMembers[] = {
    "d_state", "d_conv", "dt_rank", "bias",     "conv_bias",     "layer",        "expand",
    "dt_min",  "dt_max", "dt_init", "dt_scale", "dt_init_floor", "use_fast_path"};

absl::StatusOr<int64_t> DtRank(const ModelConfig& config, const ConfigObject& ssm,
                               std::string_view key) {
  const auto value = ssm.Find(key);
  if (!value || value->AsString() == "auto") return (config.d_model + 15) / 16;
  return ssm.Int(key, 1, kMaxModelWidth);
}

// GGUF has no bias flags, and does not name the epsilon of Falcon-Mamba's norms. llama.cpp takes
// that of the layers' norms; here it is the one that the model was trained with.
absl::StatusOr<MambaConfig> ParseGguf(const ModelConfig& config, const ConfigObject& root,
                                      bool falcon) {
  SSMD_ASSIGN_OR_RETURN(const GgufSsmSizes sizes, ReadGgufSsmSizes("mamba", root));
  MambaConfig mamba;
  mamba.d_model = config.d_model;
  mamba.d_inner = sizes.d_inner;
  mamba.state_size = sizes.state_size;
  mamba.conv_width = sizes.conv_width;
  mamba.dt_rank = sizes.dt_rank;
  if (falcon) mamba.dt_bc_norm_eps = kDefaultMixerNormEps;
  return mamba;
}

}  // namespace

absl::StatusOr<MambaConfig> ParseMambaConfig(const ModelConfig& config, const ConfigObject& root,
                                             bool falcon) {
  if (config.spelling == ConfigSpelling::kGguf) return ParseGguf(config, root, falcon);
  const bool original = config.spelling != ConfigSpelling::kHuggingFace;
  const Keys& keys = original ? kOriginalKeys : kHuggingFaceKeys;
  SSMD_ASSIGN_OR_RETURN(const ConfigObject ssm, MixerMembers(config, root, kMambaMembers));
  MambaConfig mamba;
  mamba.d_model = config.d_model;
  SSMD_ASSIGN_OR_RETURN(mamba.d_inner, InnerWidth(config, ssm));
  SSMD_ASSIGN_OR_RETURN(mamba.state_size,
                        ssm.IntOr(keys.state_size, kDefaultStateSize, 1, kernels::kMaxStateSize));
  SSMD_ASSIGN_OR_RETURN(mamba.conv_width,
                        ssm.IntOr(keys.conv_width, kDefaultConvWidth, 1, kernels::kMaxConvWidth));
  SSMD_ASSIGN_OR_RETURN(mamba.dt_rank, DtRank(config, ssm, keys.dt_rank));
  SSMD_ASSIGN_OR_RETURN(mamba.bias, ssm.Bool(keys.bias));
  SSMD_ASSIGN_OR_RETURN(mamba.conv_bias, ssm.Bool(keys.conv_bias));
  if (falcon) {
    SSMD_ASSIGN_OR_RETURN(mamba.dt_bc_norm_eps,
                          root.NumberOr("mixer_rms_eps", kDefaultMixerNormEps, 0, 1));
  }
  return mamba;
}

std::string MambaConfig::Describe() const {
  return absl::StrFormat("d_inner=%d state_size=%d conv_width=%d dt_rank=%d dt_bc_norm_eps=%s",
                         d_inner, state_size, conv_width, dt_rank,
                         dt_bc_norm_eps ? absl::StrFormat("%.9g", *dt_bc_norm_eps) : "none");
}

}  // namespace ssmd
