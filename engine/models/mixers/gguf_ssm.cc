#include "engine/models/mixers/gguf_ssm.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/models/model_config.h"
#include "kernels/ops.h"

namespace ssmd {
namespace {

absl::Status ReadHeadsAndGroups(const std::string& prefix, const ConfigObject& root,
                                GgufSsmSizes* sizes) {
  const std::string heads_key = prefix + "time_step_rank";
  const std::string groups_key = prefix + "group_count";
  if (sizes->d_inner % sizes->dt_rank != 0) {
    return root.Error(heads_key, absl::StrCat("must divide the inner width, ", sizes->d_inner,
                                              ", got ", sizes->dt_rank));
  }
  SSMD_ASSIGN_OR_RETURN(sizes->groups, root.Int(groups_key, 1, kMaxInnerWidth));
  if (sizes->dt_rank % sizes->groups != 0) {
    return root.Error(groups_key, absl::StrCat("must divide the number of heads, ", sizes->dt_rank,
                                               ", got ", sizes->groups));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GgufSsmSizes> ReadGgufSsmSizes(std::string_view architecture,
                                              const ConfigObject& root) {
  const std::string prefix = absl::StrCat(View(architecture), ".ssm.");
  GgufSsmSizes sizes;
  SSMD_ASSIGN_OR_RETURN(sizes.conv_width,
                        root.Int(prefix + "conv_kernel", 1, kernels::kMaxConvWidth));
  SSMD_ASSIGN_OR_RETURN(sizes.d_inner, root.Int(prefix + "inner_size", 1, kMaxInnerWidth));
  SSMD_ASSIGN_OR_RETURN(sizes.state_size,
                        root.Int(prefix + "state_size", 1, kernels::kMaxStateSize));
  SSMD_ASSIGN_OR_RETURN(sizes.dt_rank, root.Int(prefix + "time_step_rank", 1, kMaxModelWidth));
  if (architecture == "mamba2") SSMD_RETURN_IF_ERROR(ReadHeadsAndGroups(prefix, root, &sizes));
  return sizes;
}

}  // namespace ssmd
