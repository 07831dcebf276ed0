// Two things that files say are not what they seem:
//  - norm_before_gate of the Hugging Face spelling is not read. Their class always gates first, and
//    so do the models; the first release of the class wrote `true` into files, Codestral's among
//    them. In the original spelling it is what the layer does.
//  - The norm has as many groups as B and C have. Hugging Face's class normalised the full width at
//    first, which is another function where there are several groups (it no longer does).
#include "engine/models/mixers/mamba2_config.h"

#include <limits>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/models/mixers/gguf_ssm.h"
#include "engine/models/mixers/ssm_config.h"

namespace ssmd {
namespace {

using kernels::GateOrder;

// Defaults of the original layer.
constexpr int64_t kMamba2HeadDim = 64;
constexpr int64_t kMamba2StateSize = 128;
constexpr int64_t kMamba2ConvWidth = 4;

// All that the original ssm_cfg may hold. The second half matters only when a model is made, or to
// how it is computed, not to what.
constexpr std::string_view kMamba2Members[] = {"layer",
                                               "d_state",
                                               "d_conv",
                                               "expand",
                                               "headdim",
                                               "d_ssm",
                                               "ngroups",
                                               "D_has_hdim",
                                               "rmsnorm",
                                               "norm_before_gate",
                                               "dt_limit",
                                               "bias",
                                               "conv_bias",
                                               "conv_init",
                                               "A_init_range",
                                               "dt_min",
                                               "dt_max",
                                               "dt_init_floor",
                                               "chunk_size",
                                               "use_mem_eff_path",
                                               "sequence_parallel"};

// A number of Python's. Infinity comes as a literal or, from transformers 5 on, as an object.
std::optional<double> PythonNumber(JsonValue value) {
  const auto tagged = value.Find("__float__");
  if (!tagged) return value.AsDouble();
  if (tagged->AsString() == "Infinity") return std::numeric_limits<double>::infinity();
  return std::nullopt;
}

// [low, high] under `key`; no bounds where it is absent.
absl::Status ReadStepLimit(const ConfigObject& members, std::string_view key, Mamba2Config* mamba) {
  mamba->dt_min = 0;
  mamba->dt_max = std::numeric_limits<double>::infinity();
  const auto limit = members.Find(key);
  if (!limit) return absl::OkStatus();
  const JsonArray bounds = limit->elements();
  if (bounds.size() == 2) {
    const std::optional<double> low = PythonNumber(bounds[0]);
    const std::optional<double> high = PythonNumber(bounds[1]);
    if (low && high && *low >= 0 && *low <= std::numeric_limits<float>::max() && *high >= *low) {
      mamba->dt_min = *low;
      mamba->dt_max = *high;
      return absl::OkStatus();
    }
  }
  return members.Error(
      key, absl::StrCat("must be [low, high] with 0 <= low <= high, got ", limit->Describe()));
}

// After the heads and the state size are known. `key` is the groups'.
absl::Status CheckGroups(const ConfigObject& members, std::string_view key,
                         const Mamba2Config& mamba) {
  if (mamba.heads % mamba.groups != 0) {
    return members.Error(key, absl::StrCat("must divide the number of heads, ", mamba.heads,
                                           ", got ", mamba.groups));
  }
  const int64_t width = mamba.groups * mamba.state_size;
  if (width <= kMaxInnerWidth) return absl::OkStatus();
  return members.Error(
      key, absl::StrCat("times the state size is ", width, ", more than ", kMaxInnerWidth));
}

absl::Status ReadHuggingFace(const ModelConfig& config, const ConfigObject& root,
                             Mamba2Config* mamba) {
  SSMD_ASSIGN_OR_RETURN(mamba->heads, root.Int("num_heads", 1, kMaxInnerWidth));
  SSMD_ASSIGN_OR_RETURN(mamba->head_dim, root.Int("head_dim", 1, kMaxInnerWidth));
  SSMD_ASSIGN_OR_RETURN(const int64_t inner, InnerWidth(config, root));
  if (mamba->d_inner() != inner) {
    return root.Error("num_heads",
                      absl::StrCat("times head_dim is ", mamba->d_inner(),
                                   ", but intermediate_size or expand gives a width of ", inner));
  }
  SSMD_ASSIGN_OR_RETURN(mamba->groups, root.Int("n_groups", 1, kMaxInnerWidth));
  SSMD_ASSIGN_OR_RETURN(mamba->state_size, root.Int("state_size", 1, kernels::kMaxStateSize));
  SSMD_RETURN_IF_ERROR(CheckGroups(root, "n_groups", *mamba));
  SSMD_ASSIGN_OR_RETURN(mamba->conv_width, root.Int("conv_kernel", 1, kernels::kMaxConvWidth));
  SSMD_ASSIGN_OR_RETURN(mamba->bias, root.Bool("use_bias"));
  SSMD_ASSIGN_OR_RETURN(mamba->conv_bias, root.Bool("use_conv_bias"));
  return ReadStepLimit(root, "time_step_limit", mamba);
}

absl::StatusOr<GateOrder> OriginalGateOrder(const ConfigObject& members) {
  SSMD_ASSIGN_OR_RETURN(const std::optional<bool> norm, members.Bool("rmsnorm"));
  SSMD_ASSIGN_OR_RETURN(const std::optional<bool> norm_first, members.Bool("norm_before_gate"));
  if (!norm.value_or(true)) return GateOrder::kGateOnly;
  return norm_first.value_or(false) ? GateOrder::kNormFirst : GateOrder::kGateFirst;
}

absl::Status ReadOriginalHeads(const ModelConfig& config, const ConfigObject& members,
                               Mamba2Config* mamba) {
  SSMD_ASSIGN_OR_RETURN(const int64_t inner, InnerWidth(config, members));
  SSMD_ASSIGN_OR_RETURN(const int64_t recurrent, members.IntOr("d_ssm", inner, 1, kMaxInnerWidth));
  if (recurrent != inner) {
    return members.Error("d_ssm", absl::StrCat("is ", recurrent, " of ", inner,
                                               " channels: an MLP beside the recurrence is not "
                                               "supported"));
  }
  SSMD_ASSIGN_OR_RETURN(mamba->head_dim,
                        members.IntOr("headdim", kMamba2HeadDim, 1, kMaxInnerWidth));
  if (inner % mamba->head_dim != 0) {
    return members.Error(
        "headdim", absl::StrCat("must divide the inner width, ", inner, ", got ", mamba->head_dim));
  }
  mamba->heads = inner / mamba->head_dim;
  return absl::OkStatus();
}

absl::Status ReadOriginal(const ModelConfig& config, const ConfigObject& members,
                          Mamba2Config* mamba) {
  SSMD_RETURN_IF_ERROR(ReadOriginalHeads(config, members, mamba));
  SSMD_ASSIGN_OR_RETURN(mamba->groups, members.IntOr("ngroups", 1, 1, kMaxInnerWidth));
  SSMD_ASSIGN_OR_RETURN(mamba->state_size,
                        members.IntOr("d_state", kMamba2StateSize, 1, kernels::kMaxStateSize));
  SSMD_RETURN_IF_ERROR(CheckGroups(members, "ngroups", *mamba));
  SSMD_ASSIGN_OR_RETURN(mamba->conv_width,
                        members.IntOr("d_conv", kMamba2ConvWidth, 1, kernels::kMaxConvWidth));
  SSMD_ASSIGN_OR_RETURN(mamba->gate_order, OriginalGateOrder(members));
  SSMD_ASSIGN_OR_RETURN(const std::optional<bool> d_per_channel, members.Bool("D_has_hdim"));
  mamba->d_per_channel = d_per_channel.value_or(false);
  SSMD_ASSIGN_OR_RETURN(mamba->bias, members.Bool("bias"));
  SSMD_ASSIGN_OR_RETURN(mamba->conv_bias, members.Bool("conv_bias"));
  return ReadStepLimit(members, "dt_limit", mamba);
}

std::string_view GateOrderName(GateOrder order) {
  switch (order) {
    case GateOrder::kGateFirst:
      return "gate,norm";
    case GateOrder::kNormFirst:
      return "norm,gate";
    case GateOrder::kGateOnly:
      return "gate";
  }
  return "unknown";
}

// GGUF has no bias flags and no bounds of Δ; its layers gate first, then normalise.
absl::Status ReadGguf(const ConfigObject& root, Mamba2Config* mamba) {
  SSMD_ASSIGN_OR_RETURN(const GgufSsmSizes sizes, ReadGgufSsmSizes("mamba2", root));
  mamba->heads = sizes.dt_rank;
  mamba->head_dim = sizes.d_inner / sizes.dt_rank;
  mamba->groups = sizes.groups;
  mamba->state_size = sizes.state_size;
  mamba->conv_width = sizes.conv_width;
  mamba->dt_max = std::numeric_limits<double>::infinity();
  return CheckGroups(root, "mamba2.ssm.group_count", *mamba);
}

}  // namespace

absl::StatusOr<Mamba2Config> ParseMamba2Config(const ModelConfig& config,
                                               const ConfigObject& root) {
  if (config.spelling == ConfigSpelling::kGguf) {
    Mamba2Config mamba;
    mamba.d_model = config.d_model;
    mamba.norm_eps = config.norm_eps;
    SSMD_RETURN_IF_ERROR(ReadGguf(root, &mamba));
    return mamba;
  }
  SSMD_ASSIGN_OR_RETURN(const ConfigObject members, MixerMembers(config, root, kMamba2Members));
  Mamba2Config mamba;
  mamba.d_model = config.d_model;
  mamba.norm_eps = config.norm_eps;
  if (config.spelling == ConfigSpelling::kHuggingFace) {
    SSMD_RETURN_IF_ERROR(ReadHuggingFace(config, members, &mamba));
    return mamba;
  }
  SSMD_RETURN_IF_ERROR(ReadOriginal(config, members, &mamba));
  if (config.spelling == ConfigSpelling::kMistral) {
    SSMD_ASSIGN_OR_RETURN(mamba.groups, root.Int("n_groups", 1, kMaxInnerWidth));
    SSMD_RETURN_IF_ERROR(CheckGroups(root, "n_groups", mamba));
  }
  return mamba;
}

std::string Mamba2Config::Describe() const {
  return absl::StrFormat(
      "heads=%d head_dim=%d groups=%d state_size=%d conv_width=%d order=%s norm_eps=%.9g "
      "dt_limit=%.9g,%.9g d_per_channel=%d",
      heads, head_dim, groups, state_size, conv_width, GateOrderName(gate_order), norm_eps, dt_min,
      dt_max, d_per_channel ? 1 : 0);
}

}  // namespace ssmd
