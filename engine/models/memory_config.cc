#include "engine/models/memory_config.h"

#include <string_view>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/formats/quoted.h"
#include "kernels/memory_ops.h"

namespace ssmd {
namespace {

constexpr std::string_view kMembers[] = {"model_type", "basis",  "d_state",
                                         "channels",   "window", "discretization"};
// One sample of a window would be forgotten by the next; far above, matrices are the identity.
constexpr int64_t kMinWindow = 2;
constexpr int64_t kMaxWindow = int64_t{1} << 30;

absl::StatusOr<MemoryBasis> BasisOf(const ConfigObject& root) {
  SSMD_ASSIGN_OR_RETURN(const std::string name, root.StringOr("basis", ""));
  for (const MemoryBasis basis : {MemoryBasis::kLegs, MemoryBasis::kLegt, MemoryBasis::kFourier}) {
    if (name == MemoryBasisName(basis)) return basis;
  }
  return root.Error("basis", absl::StrCat("must be legs, legt or fourier, got ", Quoted(name)));
}

absl::Status ReadWindow(const ConfigObject& root, MemoryConfig* config) {
  if (config->basis == MemoryBasis::kLegs) {
    if (!root.Has("window")) return absl::OkStatus();
    return root.Error("window", "must not be given: legs covers all of the past");
  }
  SSMD_ASSIGN_OR_RETURN(config->window, root.Int("window", kMinWindow, kMaxWindow));
  return absl::OkStatus();
}

absl::Status ReadDiscretization(const ConfigObject& root, MemoryConfig* config) {
  SSMD_ASSIGN_OR_RETURN(const std::string name, root.StringOr("discretization", "zoh"));
  if (name != "zoh" && name != "bilinear") {
    return root.Error("discretization",
                      absl::StrCat("must be zoh or bilinear, got ", Quoted(name)));
  }
  config->bilinear = name == "bilinear";
  if (!config->bilinear || config->basis == MemoryBasis::kLegs) return absl::OkStatus();
  return root.Error("discretization",
                    absl::StrCat("must be zoh for ", MemoryBasisName(config->basis)));
}

}  // namespace

absl::string_view MemoryBasisName(MemoryBasis basis) {
  switch (basis) {
    case MemoryBasis::kLegs:
      return "legs";
    case MemoryBasis::kLegt:
      return "legt";
    case MemoryBasis::kFourier:
      return "fourier";
  }
  return "";
}

std::string MemoryConfig::Describe() const {
  return absl::StrCat(kMemoryModelType, " basis=", MemoryBasisName(basis), " d_state=", state_size,
                      " channels=", channels, " window=", window,
                      " discretization=", discretization());
}

bool IsMemoryConfig(const ConfigObject& root) {
  const auto type = root.StringOr("model_type", "");
  return type.ok() && *type == kMemoryModelType;
}

absl::StatusOr<MemoryConfig> ParseMemoryConfig(const ConfigObject& root) {
  SSMD_RETURN_IF_ERROR(root.AllowOnly(kMembers));
  SSMD_RETURN_IF_ERROR(root.RefuseNull());
  MemoryConfig config;
  SSMD_ASSIGN_OR_RETURN(config.basis, BasisOf(root));
  SSMD_ASSIGN_OR_RETURN(config.state_size, root.Int("d_state", 1, kernels::kMaxMemoryState));
  SSMD_ASSIGN_OR_RETURN(config.channels, root.IntOr("channels", 1, 1, kernels::kMaxMemoryChannels));
  if (config.basis == MemoryBasis::kFourier && config.state_size % 2 == 0) {
    return root.Error("d_state", "must be odd for fourier: 1, and pairs of a cosine and a sine");
  }
  SSMD_RETURN_IF_ERROR(ReadWindow(root, &config));
  SSMD_RETURN_IF_ERROR(ReadDiscretization(root, &config));
  return config;
}

}  // namespace ssmd
