#include "engine/models/model_config.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/formats/quoted.h"
#include "engine/models/registry.h"

namespace ssmd {
namespace {

constexpr std::string_view kSsmLm = "ssm_lm";
constexpr std::string_view kRetNet = "retnet";
constexpr double kDefaultNormEps = 1e-5;
constexpr double kRetNetNormEps = 1e-6;
constexpr double kMaxNormEps = 1;
constexpr size_t kMaxEosTokens = 64;
constexpr std::string_view kNullInSsmLm[] = {"mlp", "bos_token_id", "eos_token_id"};  // null: none

// Token ids beyond the vocabulary are dropped with a warning, and are no error: library defaults
// put them into files of small models, and they can be neither fed nor sampled.
absl::Status AppendTokenIds(const ConfigObject& root, std::string_view key, ModelConfig* config,
                            std::vector<int32_t>* ids) {
  const auto value = root.Find(key);
  if (!value) return absl::OkStatus();
  std::vector<JsonValue> entries;
  if (value->is_array()) {
    for (const JsonValue entry : value->elements()) entries.push_back(entry);
  } else {
    entries.push_back(*value);
  }
  if (entries.size() > kMaxEosTokens) {
    return root.Error(key, absl::StrCat("lists more than ", kMaxEosTokens, " tokens"));
  }
  for (const JsonValue entry : entries) {
    const auto id = entry.AsInt();
    if (!id) return root.Error(key, absl::StrCat("must be a token id, got ", entry.Describe()));
    if (*id >= 0 && *id < config->vocabulary) {
      ids->push_back(static_cast<int32_t>(*id));
    } else {
      config->warnings.push_back(
          root.Message(key, absl::StrCat(*id, " is ignored: this model's token ids are in [0, ",
                                         config->vocabulary, ")")));
    }
  }
  return absl::OkStatus();
}

absl::Status RequireTrueOrAbsent(const ConfigObject& root, std::string_view key,
                                 std::string_view otherwise) {
  SSMD_ASSIGN_OR_RETURN(const std::optional<bool> flag, root.Bool(key));
  return flag.value_or(true) ? absl::OkStatus() : root.Error(key, otherwise);
}

absl::Status ReadTokenIds(const ConfigObject& root, ModelConfig* config) {
  std::vector<int32_t> bos;
  SSMD_RETURN_IF_ERROR(AppendTokenIds(root, "bos_token_id", config, &bos));
  if (!bos.empty()) config->bos_token_id = bos.front();
  return AppendTokenIds(root, "eos_token_id", config, &config->eos_token_ids);
}

absl::StatusOr<ModelConfig> ParseHuggingFace(const ConfigObject& root) {
  ModelConfig config;
  config.spelling = ConfigSpelling::kHuggingFace;
  SSMD_ASSIGN_OR_RETURN(config.architecture, root.StringOr("model_type", ""));
  if (!IsArchitecture(config.architecture)) return config;  // PlanStack refuses it by name
  SSMD_ASSIGN_OR_RETURN(config.d_model, root.Int("hidden_size", 1, kMaxModelWidth));
  SSMD_ASSIGN_OR_RETURN(config.layers, root.Int("num_hidden_layers", 1, kMaxLayers));
  SSMD_ASSIGN_OR_RETURN(config.vocabulary, root.Int("vocab_size", 1, kMaxVocabulary));
  // flash-linear-attention's word for it is the second one.
  SSMD_ASSIGN_OR_RETURN(const double norm_eps,
                        root.NumberOr("norm_eps", kDefaultNormEps, 0, kMaxNormEps));
  SSMD_ASSIGN_OR_RETURN(config.norm_eps,
                        root.NumberOr("layer_norm_epsilon", norm_eps, 0, kMaxNormEps));
  SSMD_ASSIGN_OR_RETURN(config.tied_head, root.Bool("tie_word_embeddings"));
  const char* expected = config.architecture.starts_with("rwkv") ? "sqrelu" : "silu";
  SSMD_ASSIGN_OR_RETURN(const std::string activation, root.StringOr("hidden_act", expected));
  if (activation != expected) {
    return root.Error("hidden_act",
                      absl::StrCat("must be \"", expected, "\", got ", Quoted(activation)));
  }
  SSMD_RETURN_IF_ERROR(ReadTokenIds(root, &config));
  return config;
}

// In torchscale's words, which the port to Hugging Face's library shares.
absl::StatusOr<ModelConfig> ParseRetNetConfig(const ConfigObject& root) {
  ModelConfig config;
  config.architecture = std::string(kRetNet);
  SSMD_ASSIGN_OR_RETURN(config.d_model, root.Int("decoder_embed_dim", 1, kMaxModelWidth));
  SSMD_ASSIGN_OR_RETURN(config.layers, root.Int("decoder_layers", 1, kMaxLayers));
  SSMD_ASSIGN_OR_RETURN(config.vocabulary, root.Int("vocab_size", 1, kMaxVocabulary));
  SSMD_ASSIGN_OR_RETURN(config.norm_eps,
                        root.NumberOr("layernorm_eps", kRetNetNormEps, 0, kMaxNormEps));
  SSMD_ASSIGN_OR_RETURN(config.tied_head, root.Bool("tie_word_embeddings"));
  SSMD_RETURN_IF_ERROR(ReadTokenIds(root, &config));
  return config;
}

absl::StatusOr<ModelConfig> ParseSsmLm(const ConfigObject& root) {
  ModelConfig config;
  config.spelling = ConfigSpelling::kSsmLm;
  config.architecture = std::string(kSsmLm);
  SSMD_RETURN_IF_ERROR(root.RefuseNull(kNullInSsmLm));
  SSMD_ASSIGN_OR_RETURN(config.d_model, root.Int("d_model", 1, kMaxModelWidth));
  SSMD_ASSIGN_OR_RETURN(config.layers, root.Int("n_layer", 1, kMaxLayers));
  SSMD_ASSIGN_OR_RETURN(config.vocabulary, root.Int("vocab_size", 1, kMaxVocabulary));
  SSMD_ASSIGN_OR_RETURN(config.norm_eps,
                        root.NumberOr("norm_eps", kDefaultNormEps, 0, kMaxNormEps));
  SSMD_ASSIGN_OR_RETURN(config.tied_head, root.Bool("tie_word_embeddings"));
  SSMD_RETURN_IF_ERROR(ReadTokenIds(root, &config));
  return config;
}

absl::Status RefuseAttentionAndMlp(const ConfigObject& root) {
  SSMD_ASSIGN_OR_RETURN(const int64_t mlp, root.IntOr("d_intermediate", 0, 0, kMaxInnerWidth));
  if (mlp > 0) return root.Error("d_intermediate", "asks for MLP layers, which are not supported");
  const auto attention = root.Find("attn_layer_idx");
  if (attention && (!attention->is_array() || !attention->elements().empty())) {
    return root.Error("attn_layer_idx", "asks for attention layers, which are not supported");
  }
  return absl::OkStatus();
}

// In the words of the original files, which pad the vocabulary and do not name the epsilon.
absl::Status ReadVocabularyAndHead(const ConfigObject& root, ModelConfig* config) {
  SSMD_ASSIGN_OR_RETURN(const int64_t vocabulary, root.Int("vocab_size", 1, kMaxVocabulary));
  SSMD_ASSIGN_OR_RETURN(const int64_t multiple,
                        root.IntOr("pad_vocab_size_multiple", 8, 1, kMaxVocabulary));
  config->vocabulary = (vocabulary + multiple - 1) / multiple * multiple;
  config->norm_eps = kDefaultNormEps;
  SSMD_ASSIGN_OR_RETURN(config->tied_head, root.Bool("tie_embeddings"));
  return absl::OkStatus();
}

absl::StatusOr<ModelConfig> ParseOriginal(const ConfigObject& root) {
  ModelConfig config;
  config.spelling = ConfigSpelling::kOriginal;
  SSMD_ASSIGN_OR_RETURN(const ConfigObject ssm, root.Object("ssm_cfg"));
  SSMD_ASSIGN_OR_RETURN(const std::string layer, ssm.StringOr("layer", "Mamba1"));
  if (layer != "Mamba1" && layer != "Mamba2") {
    return ssm.Error("layer",
                     absl::StrCat("must be \"Mamba1\" or \"Mamba2\", got ", Quoted(layer)));
  }
  config.architecture = layer == "Mamba1" ? "mamba" : "mamba2";
  SSMD_RETURN_IF_ERROR(RefuseAttentionAndMlp(root));
  SSMD_ASSIGN_OR_RETURN(config.d_model, root.Int("d_model", 1, kMaxModelWidth));
  SSMD_ASSIGN_OR_RETURN(config.layers, root.Int("n_layer", 1, kMaxLayers));
  SSMD_RETURN_IF_ERROR(ReadVocabularyAndHead(root, &config));
  SSMD_RETURN_IF_ERROR(ReadTokenIds(root, &config));
  return config;
}

// Mistral's model is the original one under other names; its mixer is always Mamba-2.
absl::StatusOr<ModelConfig> ParseMistral(const ConfigObject& root) {
  ModelConfig config;
  config.spelling = ConfigSpelling::kMistral;
  SSMD_ASSIGN_OR_RETURN(const std::string type, root.StringOr("model_type", "transformer"));
  if (type != "mamba") {
    return root.Error("model_type", absl::StrCat("must be \"mamba\" in a file of this spelling "
                                                 "(with dim), got ",
                                                 Quoted(type)));
  }
  config.architecture = "mamba2";
  SSMD_ASSIGN_OR_RETURN(config.d_model, root.Int("dim", 1, kMaxModelWidth));
  SSMD_ASSIGN_OR_RETURN(config.layers, root.Int("n_layers", 1, kMaxLayers));
  SSMD_RETURN_IF_ERROR(ReadVocabularyAndHead(root, &config));
  SSMD_RETURN_IF_ERROR(ReadTokenIds(root, &config));
  return config;
}

// The architecture "mamba" is Falcon-Mamba where the metadata ask for its norms.
absl::StatusOr<std::string> GgufArchitecture(const ConfigObject& root, const std::string& name) {
  if (name != "mamba") return name;
  SSMD_ASSIGN_OR_RETURN(const std::optional<bool> norms, root.Bool("mamba.ssm.dt_b_c_rms"));
  return norms.value_or(false) ? "falcon_mamba" : name;
}

}  // namespace

absl::StatusOr<ModelConfig> ParseGgufConfig(const ConfigObject& root, int64_t vocabulary) {
  ModelConfig config;
  config.spelling = ConfigSpelling::kGguf;
  SSMD_ASSIGN_OR_RETURN(const std::string name, root.StringOr("general.architecture", ""));
  SSMD_ASSIGN_OR_RETURN(config.architecture, GgufArchitecture(root, name));
  if (name != "mamba" && name != "mamba2") return config;  // PlanStack refuses it by name
  SSMD_ASSIGN_OR_RETURN(config.d_model, root.Int(name + ".embedding_length", 1, kMaxModelWidth));
  SSMD_ASSIGN_OR_RETURN(config.layers, root.Int(name + ".block_count", 1, kMaxLayers));
  config.vocabulary = vocabulary;
  SSMD_ASSIGN_OR_RETURN(config.norm_eps,
                        root.Number(name + ".attention.layer_norm_rms_epsilon", 0, kMaxNormEps));
  std::vector<int32_t> bos;
  SSMD_RETURN_IF_ERROR(AppendTokenIds(root, "tokenizer.ggml.bos_token_id", &config, &bos));
  if (!bos.empty()) config.bos_token_id = bos.front();
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    SSMD_RETURN_IF_ERROR(AppendTokenIds(root, key, &config, &config.eos_token_ids));
  }
  return config;
}

std::string ModelConfig::Describe() const {
  return absl::StrFormat("%s d_model=%d layers=%d vocabulary=%d norm_eps=%.9g", architecture,
                         d_model, layers, vocabulary, norm_eps);
}

absl::StatusOr<ModelConfig> ParseModelConfig(const ConfigObject& root) {
  SSMD_RETURN_IF_ERROR(
      RequireTrueOrAbsent(root, "rms_norm", "is false: LayerNorm models are not supported"));
  SSMD_RETURN_IF_ERROR(root.Bool("residual_in_fp32").status());  // it always is, here
  if (root.Has("dim") && !root.Has("hidden_size")) return ParseMistral(root);
  SSMD_ASSIGN_OR_RETURN(const std::string type, root.StringOr("model_type", ""));
  if (type == kSsmLm) return ParseSsmLm(root);
  if (type == kRetNet) return ParseRetNetConfig(root);
  if (!type.empty()) return ParseHuggingFace(root);
  if (root.Has("d_model")) return ParseOriginal(root);
  return root.Error("model_type", "is missing, and so is d_model of the original Mamba files");
}

absl::Status ParseGenerationConfig(const ConfigObject& root, ModelConfig* config) {
  std::vector<int32_t> ids;
  SSMD_RETURN_IF_ERROR(AppendTokenIds(root, "eos_token_id", config, &ids));
  if (root.Has("eos_token_id")) config->eos_token_ids = std::move(ids);
  return absl::OkStatus();
}

}  // namespace ssmd
