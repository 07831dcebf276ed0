// What config.json says about a model, apart from its mixer: read in three spellings, Hugging
// Face's (model_type, hidden_size, …), that of the original state-spaces files (d_model, n_layer,
// …) and that of Mistral's params.json (dim, n_layers, …), which Codestral Mamba has.
// The metadata of a GGUF file is a fourth (general.architecture, mamba.embedding_length, …), and
// stacks of any mixers have a spelling of their own (ssm_lm.h).
#ifndef SSMD_ENGINE_MODELS_MODEL_CONFIG_H_
#define SSMD_ENGINE_MODELS_MODEL_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/formats/json.h"
#include "engine/models/config_object.h"

namespace ssmd {

// Upper limits, far above any model there is; below them no product of sizes overflows 64 bits.
inline constexpr int64_t kMaxModelWidth = int64_t{1} << 16;
inline constexpr int64_t kMaxInnerWidth = int64_t{1} << 18;
inline constexpr int64_t kMaxLayers = 1024;
inline constexpr int64_t kMaxVocabulary = int64_t{1} << 24;

enum class ConfigSpelling : uint8_t { kHuggingFace, kOriginal, kMistral, kGguf, kSsmLm };

struct ModelConfig {
  std::string architecture;  // key into the registry: "mamba", "ssm_lm", …
  ConfigSpelling spelling = ConfigSpelling::kHuggingFace;
  int64_t d_model = 0;
  int64_t layers = 0;
  int64_t vocabulary = 0;  // padded, where the file pads
  double norm_eps = 0;
  std::optional<bool> tied_head;  // absent where the file does not say
  std::optional<int32_t> bos_token_id;
  std::vector<int32_t> eos_token_ids;
  std::vector<std::string> warnings;  // what was ignored, a line each that names the file

  // One line with all that changes a logit; part of the model's fingerprint.
  std::string Describe() const;
};

// `root` is the object of config.json (or params.json). INVALID_ARGUMENT names the member that is
// missing, out of range or asks for something that is not supported.
absl::StatusOr<ModelConfig> ParseModelConfig(const ConfigObject& root);

// `root` is the metadata of a GGUF file (ReadGgufMetadata), which does not say how large the
// vocabulary is: its embedding has a row for each of `vocabulary` tokens.
absl::StatusOr<ModelConfig> ParseGgufConfig(const ConfigObject& root, int64_t vocabulary);

// Reads eos_token_id of generation_config.json, which wins over config.json's, into `config`.
absl::Status ParseGenerationConfig(const ConfigObject& root, ModelConfig* config);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MODEL_CONFIG_H_
