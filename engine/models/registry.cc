#include "engine/models/registry.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status_macros.h"
#include "engine/formats/quoted.h"
#include "engine/models/memory_config.h"
#include "engine/models/mixers/mamba.h"
#include "engine/models/mixers/mamba2.h"
#include "engine/models/retnet_model.h"
#include "engine/models/rwkv_model.h"
#include "engine/models/ssm_lm.h"

namespace ssmd {
namespace {

using Plan = absl::StatusOr<Stack> (*)(const ModelConfig& config, const ConfigObject& root);
struct Architecture {
  const char* name;
  Plan plan;
};

// Hugging Face writes backbone.embeddings, the original files backbone.embedding; conversions mix
// them, so the checkpoint decides.
std::vector<std::string> EmbeddingNames(ConfigSpelling spelling) {
  std::vector<std::string> names = {"backbone.embeddings.weight", "backbone.embedding.weight"};
  if (spelling != ConfigSpelling::kHuggingFace) std::swap(names[0], names[1]);
  return names;
}

// A model whose layers are all of one kind of Mamba's.
template <auto kParse>
absl::StatusOr<Stack> PlanMamba(const ModelConfig& config, const ConfigObject& root) {
  SSMD_ASSIGN_OR_RETURN(std::unique_ptr<MixerFamily> family, kParse(config, root));
  Stack stack = UniformStack(std::move(family), config.layers);
  stack.embedding = EmbeddingNames(config.spelling);
  return stack;
}

constexpr Architecture kArchitectures[] = {
    {"mamba", PlanMamba<ParseMamba>},
    {"falcon_mamba", PlanMamba<ParseFalconMamba>},
    {"mamba2", PlanMamba<ParseMamba2>},
    {"retnet", PlanRetNetModel},
    {"rwkv", PlanRwkv<4>},
    {"rwkv5", PlanRwkv<5>},
    {"rwkv6", PlanRwkv<6>},
    {"rwkv7", PlanRwkv<7>},
    {"ssm_lm", PlanSsmLm},
};

}  // namespace

bool IsArchitecture(std::string_view name) {
  return std::any_of(std::begin(kArchitectures), std::end(kArchitectures),
                     [name](const Architecture& known) { return known.name == name; });
}

absl::StatusOr<Stack> PlanStack(const ModelConfig& config, const ConfigObject& root) {
  std::vector<const char*> known;
  for (const Architecture& architecture : kArchitectures) {
    if (config.architecture == architecture.name) return architecture.plan(config, root);
    known.push_back(architecture.name);
  }
  const bool gguf = config.spelling == ConfigSpelling::kGguf;
  if (!gguf) known.push_back(kMemoryModelType);  // which is no stack
  return root.Error(gguf ? "general.architecture" : "model_type",
                    absl::StrCat(Quoted(config.architecture),
                                 " is not known here; these are: ", absl::StrJoin(known, ", ")));
}

}  // namespace ssmd
