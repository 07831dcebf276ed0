#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/formats/checkpoint.h"
#include "engine/formats/gguf.h"
#include "engine/formats/json.h"
#include "engine/formats/mapped_file.h"
#include "engine/text/byte_level_bpe.h"
#include "engine/text/gguf_tokenizer.h"
#include "engine/text/json_fields.h"
#include "engine/text/longest_match.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizer_json.h"

namespace ssmd {
namespace {

constexpr char kTokenizerFile[] = "tokenizer.json";
constexpr char kConfigFile[] = "tokenizer_config.json";
constexpr char kRwkvVocabularyFile[] = "rwkv_vocab_v20230424.txt";
constexpr uint64_t kMaxVocabularyBytes = uint64_t{64} << 20;
constexpr char kRwkvEmbedding[] = "emb.weight";
constexpr int64_t kByteVocabulary = 256;
constexpr JsonLimits kConfigLimits = {
    .bytes = size_t{16} << 20, .values = size_t{1} << 20, .depth = 64, .allow_non_finite = true};

// A token's text: a string, or an object that holds it as "content".
absl::StatusOr<std::string> ReadTokenText(const JsonField& field) {
  if (!field.value().is_object()) {
    SSMD_ASSIGN_OR_RETURN(const std::string_view text, field.String());
    return std::string(text);
  }
  SSMD_ASSIGN_OR_RETURN(const JsonField content, field.Require("content"));
  SSMD_ASSIGN_OR_RETURN(const std::string_view text, content.String());
  return std::string(text);
}

std::optional<int32_t> FindToken(const ByteLevelBpeParts& parts, const std::string& text) {
  for (const auto& token : parts.added) {
    if (token.content == text) return token.id;
  }
  for (const auto& token : parts.vocabulary) {
    if (token.text == text) return token.id;
  }
  return std::nullopt;
}

// add_bos_token, where the configuration has it, overrides the post-processor's template.
absl::Status ApplyConfig(const JsonField& root, ByteLevelBpeParts* parts) {
  SSMD_RETURN_IF_ERROR(root.Object().status());
  const auto flag = root.Find("add_bos_token");
  if (!flag.has_value()) return absl::OkStatus();
  SSMD_ASSIGN_OR_RETURN(const bool add_bos, flag->Bool());
  if (!add_bos) {
    parts->bos_to_add.reset();
    return absl::OkStatus();
  }
  SSMD_ASSIGN_OR_RETURN(const JsonField bos, root.Require("bos_token"));
  SSMD_ASSIGN_OR_RETURN(const std::string text, ReadTokenText(bos));
  parts->bos_to_add = FindToken(*parts, text);
  if (!parts->bos_to_add.has_value()) {
    return bos.Error(absl::StrCat("\"", text, "\" is not a token of ", kTokenizerFile));
  }
  return absl::OkStatus();
}

// What is wrong with the parts together is the fault of `place`.
absl::StatusOr<std::unique_ptr<Tokenizer>> Make(ByteLevelBpeParts parts, absl::string_view place) {
  auto made = MakeByteLevelBpe(std::move(parts));
  if (made.ok()) return made;
  return absl::InvalidArgumentError(absl::StrCat(place, ": ", made.status().message()));
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadFromGguf(const std::string& path) {
  SSMD_ASSIGN_OR_RETURN(const Gguf gguf, Gguf::Open(path));
  SSMD_ASSIGN_OR_RETURN(ByteLevelBpeParts parts, ReadGgufTokenizer(gguf));
  return Make(std::move(parts), absl::StrCat(gguf.source(), ": tokenizer.ggml.tokens"));
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizerJson(const std::string& directory) {
  SSMD_ASSIGN_OR_RETURN(
      const JsonDocument tokenizer,
      JsonDocument::ParseFile(absl::StrCat(directory, "/", kTokenizerFile), kTokenizerJsonLimits));
  SSMD_ASSIGN_OR_RETURN(ByteLevelBpeParts parts,
                        ReadTokenizerJson(JsonField::Root(kTokenizerFile, tokenizer.root())));
  const auto config =
      JsonDocument::ParseFile(absl::StrCat(directory, "/", kConfigFile), kConfigLimits);
  if (config.ok()) {
    SSMD_RETURN_IF_ERROR(ApplyConfig(JsonField::Root(kConfigFile, config->root()), &parts));
  } else if (!absl::IsNotFound(config.status())) {
    return config.status();
  }
  return Make(std::move(parts), absl::StrCat(kTokenizerFile, ": added_tokens"));
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadRwkvVocabulary(const std::string& directory) {
  SSMD_ASSIGN_OR_RETURN(
      const MappedFile file,
      MappedFile::Open(absl::StrCat(directory, "/", kRwkvVocabularyFile), kMaxVocabularyBytes));
  const std::string_view lines(reinterpret_cast<const char*>(file.data()), file.size());
  SSMD_ASSIGN_OR_RETURN(LongestMatchParts parts, ReadRwkvVocabulary(lines, file.name()));
  auto made = MakeLongestMatch(std::move(parts));
  if (made.ok()) return made;
  return absl::InvalidArgumentError(absl::StrCat(file.name(), ": ", made.status().message()));
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadFromFolder(const std::string& directory) {
  auto tokenizer = LoadTokenizerJson(directory);
  if (!absl::IsNotFound(tokenizer.status())) return tokenizer;
  auto vocabulary = LoadRwkvVocabulary(directory);
  return absl::IsNotFound(vocabulary.status()) ? std::move(tokenizer) : std::move(vocabulary);
}

// Whether it is an RWKV model over bytes, for which nobody writes a tokenizer's file.
bool ReadsBytes(const std::string& path) {
  const auto checkpoint = Checkpoint::Open(path);
  const TensorInfo* embedding = checkpoint.ok() ? checkpoint->Find(kRwkvEmbedding) : nullptr;
  return embedding != nullptr && embedding->shape.front() == kByteVocabulary;
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& path) {
  if (!IsRegularFile(path)) {
    auto tokenizer = LoadFromFolder(path);
    if (absl::IsNotFound(tokenizer.status()) && ReadsBytes(path)) return MakeByteTokenizer();
    return tokenizer;
  }
  SSMD_ASSIGN_OR_RETURN(const ModelFileKind kind, KindOfModelFile(path));
  if (kind == ModelFileKind::kGguf) return LoadFromGguf(path);
  return ReadsBytes(path) ? MakeByteTokenizer() : LoadFromFolder(FolderOf(path));
}

}  // namespace ssmd
