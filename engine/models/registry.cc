#include "engine/models/registry.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/formats/quoted.h"
#include "engine/models/mixers/mamba.h"
#include "engine/models/mixers/mamba2.h"

namespace ssmd {
namespace {

using ParseFamily = absl::StatusOr<std::unique_ptr<MixerFamily>> (*)(const ModelConfig& config,
                                                                     const ConfigObject& root);
struct Architecture {
  const char* name;
  ParseFamily parse;
};
constexpr Architecture kArchitectures[] = {
    {"mamba", ParseMamba},
    {"falcon_mamba", ParseFalconMamba},
    {"mamba2", ParseMamba2},
};

}  // namespace

absl::StatusOr<std::unique_ptr<MixerFamily>> MakeMixerFamily(const ModelConfig& config,
                                                             const ConfigObject& root) {
  std::vector<const char*> known;
  for (const Architecture& architecture : kArchitectures) {
    if (config.architecture == architecture.name) return architecture.parse(config, root);
    known.push_back(architecture.name);
  }
  const bool gguf = config.spelling == ConfigSpelling::kGguf;
  return root.Error(gguf ? "general.architecture" : "model_type",
                    absl::StrCat(Quoted(config.architecture),
                                 " is not supported; these are: ", absl::StrJoin(known, ", ")));
}

}  // namespace ssmd
