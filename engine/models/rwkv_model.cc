#include "engine/models/rwkv_model.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/formats/model_names.h"
#include "engine/formats/quoted.h"
#include "engine/models/mixers/rwkv.h"

namespace ssmd {
namespace {

constexpr int64_t kRwkvHeadSize = 64;
constexpr int64_t kByteVocabulary = 256;
constexpr double kRwkvNormEps = 1e-5;  // before the division of a head's output
constexpr double kRwkvHeadDivisor = 8;
constexpr double kRwkvCppGroupEps = 1e-5;

// The width of channel mixing where the configuration leaves it to the class.
int64_t DefaultInnerWidth(int version, int64_t d_model) {
  if (version == 4) return 4 * d_model;
  if (version == 7) return (4 * d_model + 31) / 32 * 32;
  return d_model * 7 / 2 / 32 * 32;
}

absl::StatusOr<double> GroupEps(int version, int64_t head_dim, double norm_eps,
                                const ConfigObject& root) {
  double fallback = norm_eps * static_cast<double>(head_dim);
  if (version < 7) {
    SSMD_ASSIGN_OR_RETURN(const double divisor,
                          root.NumberOr("head_size_divisor", kRwkvHeadDivisor, 1, 1024));
    fallback = kRwkvNormEps * divisor * divisor;
  }
  return root.NumberOr("group_norm_epsilon", fallback, 0, 1);
}

absl::StatusOr<RwkvTimeMixing> ReadTimeMixing(int version, const ModelConfig& config,
                                              const ConfigObject& root) {
  RwkvTimeMixing mixing;
  mixing.version = version;
  mixing.d_model = mixing.d_inner = config.d_model;
  if (version < 7) {
    SSMD_ASSIGN_OR_RETURN(mixing.d_inner,
                          root.IntOr("attention_hidden_size", config.d_model, 1, kMaxModelWidth));
  }
  if (version == 4) return mixing;
  const char* key = version == 7 ? "head_dim" : "head_size";
  SSMD_ASSIGN_OR_RETURN(mixing.head_dim,
                        root.IntOr(key, kRwkvHeadSize, kMinRwkvHead, kernels::kMaxWkvHead));
  SSMD_RETURN_IF_ERROR(CheckRwkvHeads(mixing, root, key));
  SSMD_ASSIGN_OR_RETURN(mixing.group_eps,
                        GroupEps(version, mixing.head_dim, config.norm_eps, root));
  return mixing;
}

// What flash-linear-attention's class can do beside RWKV-7.
absl::Status RefuseVariants(const ConfigObject& root) {
  if (root.Has("attn"))
    return root.Error("attn", "asks for attention layers, which are not supported");
  SSMD_ASSIGN_OR_RETURN(const auto norm_bias, root.Bool("norm_bias"));
  if (norm_bias.value_or(true)) return absl::OkStatus();
  return root.Error("norm_bias", "is false: norms without a bias are not supported");
}

// "a":"text" or "a":1
template <typename Value>
void AppendMember(std::string_view key, const Value& value, std::string* json) {
  absl::StrAppend(json, json->size() > 1 ? "," : "", "\"", View(key), "\":", value);
}

// Size `dimension` of a tensor that must have so many dimensions.
absl::StatusOr<int64_t> SizeOf(const Checkpoint& checkpoint, const std::string& name,
                               size_t dimensions, size_t dimension) {
  const TensorInfo* tensor = checkpoint.Find(name);
  if (tensor != nullptr && tensor->shape.size() == dimensions) return tensor->shape[dimension];
  return absl::InvalidArgumentError(
      absl::StrCat(checkpoint.source(), ": has no tensor ", Quoted(checkpoint.NameInFile(name)),
                   " of ", dimensions, " dimensions, which the model's sizes are read from"));
}

int64_t CountLayers(const Checkpoint& checkpoint) {
  int64_t layers = 0;
  while (layers < kMaxLayers &&
         checkpoint.Find(absl::StrCat("blocks.", layers, ".ln1.weight")) != nullptr) {
    ++layers;
  }
  return layers;
}

// The first dimension of the tensor that has one row for each head.
int64_t CountHeads(const Checkpoint& checkpoint, int version) {
  const std::string att = "blocks.0.att.";
  const char* const names5[] = {"time_faaaa", "time_first", "time_first.factor"};
  const TensorInfo* tensor = version == 7 ? checkpoint.Find(att + "r_k") : nullptr;
  for (const char* name : names5) {
    if (version < 7 && tensor == nullptr) tensor = checkpoint.Find(att + name);
  }
  return tensor != nullptr && !tensor->shape.empty() ? tensor->shape[0] : 0;
}

// Members on the heads, which RWKV-4 has not.
absl::Status AppendHeads(const Checkpoint& checkpoint, int version, int64_t inner, bool rwkv_cpp,
                         std::string* json) {
  const int64_t heads = CountHeads(checkpoint, version);
  if (heads < 1 || inner % heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat(checkpoint.source(), ": its tensors have ",
                                                   heads, " heads, which do not divide ", inner));
  }
  AppendMember(version == 7 ? "head_dim" : "head_size", inner / heads, json);
  if (version == 5 && rwkv_cpp) AppendMember("group_norm_epsilon", kRwkvCppGroupEps, json);
  if (version == 7) AppendMember("group_norm_epsilon", kRwkvGroupEps, json);
  return absl::OkStatus();
}

}  // namespace

template <int kVersion>
absl::StatusOr<Stack> PlanRwkv(const ModelConfig& config, const ConfigObject& root) {
  SSMD_RETURN_IF_ERROR(RefuseVariants(root));
  SSMD_ASSIGN_OR_RETURN(const RwkvTimeMixing time, ReadTimeMixing(kVersion, config, root));
  RwkvChannelMixing channel;
  channel.version = kVersion;
  channel.d_model = config.d_model;
  SSMD_ASSIGN_OR_RETURN(channel.d_inner,
                        root.IntOr("intermediate_size", DefaultInnerWidth(kVersion, config.d_model),
                                   1, kMaxInnerWidth));
  SSMD_ASSIGN_OR_RETURN(const auto embedding_norm, root.Bool("norm_first"));
  Stack stack;
  stack.embedding = {"emb.weight"};
  if (embedding_norm.value_or(true)) stack.embedding_norm = "blocks.0.ln0";
  stack.final_norm = "ln_out";
  stack.head = "head.weight";
  stack.centred_norms = true;
  stack.families.push_back(MakeRwkvTimeMixing(time));
  stack.families.push_back(MakeRwkvChannelMixing(channel));
  for (int i = 0; i < config.layers; ++i) {
    const std::string prefix = absl::StrCat("blocks.", i, ".");
    stack.blocks.push_back({prefix + "ln1", prefix + "att.", i, stack.families[0].get()});
    stack.blocks.push_back({prefix + "ln2", prefix + "ffn.", i, stack.families[1].get()});
  }
  return stack;
}

template absl::StatusOr<Stack> PlanRwkv<4>(const ModelConfig&, const ConfigObject&);
template absl::StatusOr<Stack> PlanRwkv<5>(const ModelConfig&, const ConfigObject&);
template absl::StatusOr<Stack> PlanRwkv<6>(const ModelConfig&, const ConfigObject&);
template absl::StatusOr<Stack> PlanRwkv<7>(const ModelConfig&, const ConfigObject&);

bool IsRwkv(const Checkpoint& checkpoint) { return RwkvVersionOf(checkpoint.tensors()) != 0; }

absl::StatusOr<JsonDocument> ReadRwkvMetadata(const Checkpoint& checkpoint, bool rwkv_cpp) {
  const int version = RwkvVersionOf(checkpoint.tensors());
  if (version == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(checkpoint.source(),
                     ": its tensors are not those of RWKV 4, 5, 6 or 7, and "
                     "no config.json says what they are"));
  }
  SSMD_ASSIGN_OR_RETURN(const int64_t vocabulary, SizeOf(checkpoint, "emb.weight", 2, 0));
  SSMD_ASSIGN_OR_RETURN(const int64_t d_model, SizeOf(checkpoint, "emb.weight", 2, 1));
  SSMD_ASSIGN_OR_RETURN(const int64_t inner, SizeOf(checkpoint, "blocks.0.att.key.weight", 2, 0));
  SSMD_ASSIGN_OR_RETURN(const int64_t hidden, SizeOf(checkpoint, "blocks.0.ffn.key.weight", 2, 0));
  std::string json = "{";
  AppendMember("model_type", version == 4 ? "\"rwkv\"" : absl::StrCat("\"rwkv", version, "\""),
               &json);
  AppendMember("vocab_size", vocabulary, &json);
  AppendMember("hidden_size", d_model, &json);
  AppendMember("num_hidden_layers", CountLayers(checkpoint), &json);
  AppendMember("intermediate_size", hidden, &json);
  AppendMember("attention_hidden_size", inner, &json);
  AppendMember("tie_word_embeddings", "false", &json);
  if (vocabulary != kByteVocabulary) AppendMember("eos_token_id", 0, &json);
  if (version > 4) {
    SSMD_RETURN_IF_ERROR(AppendHeads(checkpoint, version, inner, rwkv_cpp, &json));
  }
  return JsonDocument::Parse(json + "}", checkpoint.source(), JsonLimits());
}

}  // namespace ssmd
