// Any JSON as config.json: refused, or sizes within the limits that loading relies on.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "engine/formats/json.h"
#include "engine/models/config_object.h"
#include "engine/models/model_config.h"
#include "engine/models/registry.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ssmd::JsonLimits limits;
  limits.bytes = 1 << 16;
  limits.allow_non_finite = true;
  const auto document = ssmd::JsonDocument::Parse(
      std::string(reinterpret_cast<const char*>(data), size), "config.json", limits);
  if (!document.ok() || !document->root().is_object()) return 0;
  const ssmd::ConfigObject root(document->root(), "config.json: ");
  auto config = ssmd::ParseModelConfig(root);
  if (!config.ok()) return 0;
  if (config->d_model < 1 || config->d_model > ssmd::kMaxModelWidth) std::abort();
  if (config->layers < 1 || config->layers > ssmd::kMaxLayers) std::abort();
  if (config->vocabulary < 1 || config->vocabulary > 2 * ssmd::kMaxVocabulary) std::abort();
  if (!(config->norm_eps >= 0 && config->norm_eps <= 1)) std::abort();
  if (!ssmd::ParseGenerationConfig(root, &*config).ok()) std::abort();
  const auto stack = ssmd::PlanStack(*config, root);
  if (!stack.ok()) return 0;
  const int64_t scratch = stack->scratch_floats_per_row();
  if (scratch < 1 || scratch > 16 * ssmd::kMaxInnerWidth) std::abort();
  return 0;
}
