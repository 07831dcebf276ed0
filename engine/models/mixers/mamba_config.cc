#include "engine/models/mixers/mamba_config.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/formats/quoted.h"
#include "kernels/ops.h"

namespace ssmd {
namespace {

constexpr int64_t kDefaultStateSize = 16;
constexpr int64_t kDefaultConvWidth = 4;
constexpr double kDefaultExpand = 2;
constexpr double kMaxExpand = 64;
constexpr double kDefaultMixerNormEps = 1e-6;

// The two spellings of one thing.
struct Keys {
  std::string_view state_size, conv_width, dt_rank, bias, conv_bias;
};
constexpr Keys kHuggingFaceKeys = {"state_size", "conv_kernel", "time_step_rank", "use_bias",
                                   "use_conv_bias"};
constexpr Keys kOriginalKeys = {"d_state", "d_conv", "dt_rank", "bias", "conv_bias"};

// What else the original ssm_cfg may hold: it matters only when a model is made, not when it runs.
constexpr std::string_view kIgnoredOriginalKeys[] = {
    "layer", "expand", "dt_min", "dt_max", "dt_init", "dt_scale", "dt_init_floor", "use_fast_path"};

absl::Status RefuseUnknown(const ConfigObject& root) {
  const auto ssm = root.Find("ssm_cfg");
  if (!ssm) return absl::OkStatus();
  for (const auto& [key, value] : ssm->members()) {
    const Keys& k = kOriginalKeys;
    const bool known =
        key == k.state_size || key == k.conv_width || key == k.dt_rank || key == k.bias ||
        key == k.conv_bias ||
        std::count(std::begin(kIgnoredOriginalKeys), std::end(kIgnoredOriginalKeys), key) > 0;
    if (!known) return root.Error("ssm_cfg", absl::StrCat("has the unknown member ", Quoted(key)));
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> InnerWidth(const ModelConfig& config, const ConfigObject& root,
                                   const ConfigObject& ssm) {
  if (config.spelling == ConfigSpelling::kHuggingFace && root.Has("intermediate_size")) {
    return root.Int("intermediate_size", 1, kMaxInnerWidth);
  }
  SSMD_ASSIGN_OR_RETURN(const double expand, ssm.NumberOr("expand", kDefaultExpand, 0, kMaxExpand));
  const auto width = static_cast<int64_t>(expand * static_cast<double>(config.d_model));
  if (width >= 1 && width <= kMaxInnerWidth) return width;
  return ssm.Error("expand", absl::StrCat("gives an inner width of ", width,
                                          ", which is not in [1, ", kMaxInnerWidth, "]"));
}

absl::StatusOr<int64_t> DtRank(const ModelConfig& config, const ConfigObject& ssm,
                               std::string_view key) {
  const auto value = ssm.Find(key);
  if (!value || value->AsString() == "auto") return (config.d_model + 15) / 16;
  return ssm.Int(key, 1, kMaxModelWidth);
}

}  // namespace

absl::StatusOr<MambaConfig> ParseMambaConfig(const ModelConfig& config, const ConfigObject& root,
                                             bool falcon) {
  const bool original = config.spelling == ConfigSpelling::kOriginal;
  const Keys& keys = original ? kOriginalKeys : kHuggingFaceKeys;
  ConfigObject ssm = root;
  if (original) {
    SSMD_RETURN_IF_ERROR(RefuseUnknown(root));
    SSMD_ASSIGN_OR_RETURN(ssm, root.Object("ssm_cfg"));
  }
  MambaConfig mamba;
  mamba.d_model = config.d_model;
  SSMD_ASSIGN_OR_RETURN(mamba.d_inner, InnerWidth(config, root, ssm));
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
