#include "engine/text/gguf_tokenizer.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/formats/quoted.h"
#include "engine/text/gguf_pretokenizer.h"
#include "engine/text/merge_table.h"
#include "engine/text/utf8.h"

namespace ssmd {
namespace {

constexpr char kModel[] = "tokenizer.ggml.model";
constexpr char kPre[] = "tokenizer.ggml.pre";
constexpr char kTokens[] = "tokenizer.ggml.tokens";
constexpr char kTokenTypes[] = "tokenizer.ggml.token_type";
constexpr char kMerges[] = "tokenizer.ggml.merges";
constexpr char kAddBos[] = "tokenizer.ggml.add_bos_token";
constexpr char kBos[] = "tokenizer.ggml.bos_token_id";

// The format's numbers.
enum class TokenKind : int64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUser = 4, kUnused = 5 };

class GgufTokenizerReader {
 public:
  explicit GgufTokenizerReader(const Gguf& gguf) : gguf_(gguf) {}

  absl::StatusOr<ByteLevelBpeParts> Read();

 private:
  absl::Status ReadTokens();
  absl::StatusOr<TokenKind> KindOf(const GgufValue* kinds, uint64_t i) const;
  absl::Status AddToken(std::string_view text, int32_t id, TokenKind kind);
  absl::Status ReadMerges();
  absl::Status ReadPreTokenizer();
  absl::Status ReadBos();

  absl::StatusOr<std::optional<std::string_view>> FindString(const char* key) const;
  absl::StatusOr<GgufStrings> RequireStrings(const char* key) const;
  absl::Status ElementError(const char* key, uint64_t i, absl::string_view reason) const {
    return gguf_.KeyError(absl::StrCat(key, "[", i, "]"), {reason.data(), reason.size()});
  }

  const Gguf& gguf_;
  ByteLevelBpeParts parts_;
  TokenIds ids_;
  bool add_bos_ = false;
};

absl::StatusOr<ByteLevelBpeParts> GgufTokenizerReader::Read() {
  SSMD_ASSIGN_OR_RETURN(const auto model, FindString(kModel));
  if (!model || *model == "none" || *model == "no_vocab") {
    return absl::NotFoundError(absl::StrCat(gguf_.source(), ": holds no tokenizer"));
  }
  if (*model != "gpt2") {
    return gguf_.KeyError(
        kModel,
        absl::StrCat(Quoted(*model), " is not supported; \"gpt2\", which is byte-level BPE, is"));
  }
  SSMD_RETURN_IF_ERROR(ReadTokens());
  SSMD_RETURN_IF_ERROR(ReadMerges());
  SSMD_RETURN_IF_ERROR(ReadPreTokenizer());
  SSMD_RETURN_IF_ERROR(ReadBos());
  return std::move(parts_);
}

absl::Status GgufTokenizerReader::ReadTokens() {
  SSMD_ASSIGN_OR_RETURN(const GgufStrings tokens, RequireStrings(kTokens));
  if (tokens.size() == 0 || tokens.size() > kMaxTokenIds) {
    return gguf_.KeyError(
        kTokens, absl::StrCat("has ", tokens.size(), " elements: not in [1, ", kMaxTokenIds, "]"));
  }
  const GgufValue* kinds = gguf_.Find(kTokenTypes);
  if (kinds != nullptr && (!kinds->is_array() || kinds->size() != tokens.size())) {
    return gguf_.KeyError(kTokenTypes,
                          absl::StrCat("must be an array of ", tokens.size(),
                                       ", as many as there are tokens, got ", kinds->Describe()));
  }
  parts_.vocabulary.reserve(tokens.size());
  ids_.reserve(tokens.size());
  int32_t id = 0;
  for (const std::string_view text : tokens) {
    SSMD_ASSIGN_OR_RETURN(const TokenKind kind, KindOf(kinds, static_cast<uint64_t>(id)));
    SSMD_RETURN_IF_ERROR(AddToken(text, id++, kind));
  }
  return absl::OkStatus();
}

absl::StatusOr<TokenKind> GgufTokenizerReader::KindOf(const GgufValue* kinds, uint64_t i) const {
  if (kinds == nullptr) return TokenKind::kNormal;
  const auto number = kinds->IntAt(i);
  if (number && *number >= static_cast<int64_t>(TokenKind::kNormal) &&
      *number <= static_cast<int64_t>(TokenKind::kUnused)) {
    return static_cast<TokenKind>(*number);
  }
  return ElementError(kTokenTypes, i,
                      absl::StrCat("must be a whole number in [1, 5]",
                                   number ? absl::StrCat(", got ", *number) : ""));
}

// An id without text is one that the vocabulary does not name.
absl::Status GgufTokenizerReader::AddToken(std::string_view text, int32_t id, TokenKind kind) {
  const auto i = static_cast<uint64_t>(id);
  if (text.empty()) return absl::OkStatus();
  if (FindInvalidUtf8(text)) return ElementError(kTokens, i, "is not UTF-8");
  if (!ids_.emplace(View(text), id).second) {
    return ElementError(kTokens, i, absl::StrCat(Quoted(text), " is the text of another token"));
  }
  if (kind == TokenKind::kNormal || kind == TokenKind::kUnused) {
    parts_.vocabulary.push_back({id, std::string(text)});
    return absl::OkStatus();
  }
  if (text.size() > kMaxAddedTokenBytes) {
    return ElementError(kTokens, i, absl::StrCat("is longer than ", kMaxAddedTokenBytes, " bytes"));
  }
  AddedToken added;
  added.id = id;
  added.content = std::string(text);
  added.special = kind != TokenKind::kUser;
  parts_.added.push_back(std::move(added));
  return absl::OkStatus();
}

absl::Status GgufTokenizerReader::ReadMerges() {
  SSMD_ASSIGN_OR_RETURN(const GgufStrings lines, RequireStrings(kMerges));
  parts_.merges.reserve(lines.size());
  uint64_t i = 0;
  for (const std::string_view line : lines) {
    const auto sides = CutMerge(line);
    if (!sides) {
      return ElementError(kMerges, i, absl::StrCat("must be two tokens, not ", Quoted(line)));
    }
    const auto merge = FindMerge(ids_, sides->first, sides->second);
    if (!merge.ok()) return ElementError(kMerges, i, merge.status().message());
    parts_.merges.push_back(*merge);
    ++i;
  }
  return absl::OkStatus();
}

absl::Status GgufTokenizerReader::ReadPreTokenizer() {
  SSMD_ASSIGN_OR_RETURN(const auto named, FindString(kPre));
  const std::string_view name = named.value_or("default");
  auto made = MakeGgufPreTokenizer(name);
  if (!made) {
    return gguf_.KeyError(
        kPre,
        absl::StrCat(Quoted(name), " is not supported; these are: ", KnownGgufPreTokenizers()));
  }
  parts_.pre_tokenizer = std::move(made->stages);
  parts_.ignore_merges = made->ignore_merges;
  add_bos_ = made->add_bos;
  return absl::OkStatus();
}

absl::Status GgufTokenizerReader::ReadBos() {
  if (const GgufValue* flag = gguf_.Find(kAddBos)) {
    if (!flag->AsBool()) {
      return gguf_.KeyError(kAddBos, absl::StrCat("must be a bool, got ", flag->Describe()));
    }
    add_bos_ = *flag->AsBool();
  }
  if (!add_bos_) return absl::OkStatus();
  const GgufValue* bos = gguf_.Find(kBos);
  if (bos == nullptr) return gguf_.KeyError(kBos, "is missing, and every text begins with it");
  const auto id = bos->AsInt();
  const auto tokens = static_cast<int64_t>(gguf_.Find(kTokens)->size());
  if (!id || *id < 0 || *id >= tokens) {
    return gguf_.KeyError(
        kBos, absl::StrCat("must be a token id in [0, ", tokens, "), got ", bos->Describe()));
  }
  parts_.bos_to_add = static_cast<int32_t>(*id);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string_view>> GgufTokenizerReader::FindString(
    const char* key) const {
  const GgufValue* value = gguf_.Find(key);
  if (value == nullptr) return std::optional<std::string_view>();
  const auto text = value->AsString();
  if (text) return text;
  return gguf_.KeyError(key, absl::StrCat("must be a string, got ", value->Describe()));
}

absl::StatusOr<GgufStrings> GgufTokenizerReader::RequireStrings(const char* key) const {
  const GgufValue* value = gguf_.Find(key);
  if (value == nullptr) return gguf_.KeyError(key, "is missing");
  const auto strings = value->AsStrings();
  if (strings) return *strings;
  return gguf_.KeyError(key, absl::StrCat("must be an array of strings, got ", value->Describe()));
}

}  // namespace

absl::StatusOr<ByteLevelBpeParts> ReadGgufTokenizer(const Gguf& gguf) {
  return GgufTokenizerReader(gguf).Read();
}

}  // namespace ssmd
