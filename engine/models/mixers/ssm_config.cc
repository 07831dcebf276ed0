#include "engine/models/mixers/ssm_config.h"

#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace ssmd {
namespace {

constexpr double kDefaultExpand = 2;
constexpr double kMaxExpand = 64;

}  // namespace

absl::StatusOr<ConfigObject> MixerMembers(const ModelConfig& config, const ConfigObject& root,
                                          std::span<const std::string_view> known) {
  if (config.spelling == ConfigSpelling::kHuggingFace) return root;
  // The files of Mistral say nothing of the layer but what they have in common with everyone.
  if (config.spelling == ConfigSpelling::kMistral) return ConfigObject(std::nullopt, "");
  if (config.spelling == ConfigSpelling::kSsmLm) {
    std::vector<std::string_view> members(known.begin(), known.end());
    members.push_back("type");
    SSMD_RETURN_IF_ERROR(root.AllowOnly(members));
    return root;
  }
  SSMD_ASSIGN_OR_RETURN(ConfigObject members, root.Object("ssm_cfg"));
  SSMD_RETURN_IF_ERROR(members.AllowOnly(known));
  return members;
}

absl::StatusOr<int64_t> InnerWidth(const ModelConfig& config, const ConfigObject& members) {
  if (config.spelling == ConfigSpelling::kHuggingFace && members.Has("intermediate_size")) {
    return members.Int("intermediate_size", 1, kMaxInnerWidth);
  }
  SSMD_ASSIGN_OR_RETURN(const double expand,
                        members.NumberOr("expand", kDefaultExpand, 0, kMaxExpand));
  const auto width = static_cast<int64_t>(expand * static_cast<double>(config.d_model));
  if (width >= 1 && width <= kMaxInnerWidth) return width;
  return members.Error("expand", absl::StrCat("gives an inner width of ", width,
                                              ", which is not in [1, ", kMaxInnerWidth, "]"));
}

}  // namespace ssmd
