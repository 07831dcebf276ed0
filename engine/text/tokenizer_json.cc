#include "engine/text/tokenizer_json.h"

#include <array>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/text/byte_alphabet.h"
#include "engine/text/merge_table.h"

namespace ssmd {
namespace {

absl::StatusOr<int32_t> ReadId(const JsonField& field) {
  const auto id = field.value().AsInt();
  if (!id.has_value() || *id < 0 || *id >= kMaxTokenIds) {
    return field.Error(absl::StrCat("must be a token id in [0, ", kMaxTokenIds, "), not ",
                                    field.value().Describe()));
  }
  return static_cast<int32_t>(*id);
}

absl::StatusOr<bool> ReadFlag(const JsonField& object, std::string_view key) {
  SSMD_ASSIGN_OR_RETURN(const JsonField field, object.Require(key));
  return field.Bool();
}

// --- model ---------------------------------------------------------------------------------------

absl::StatusOr<TokenIds> ReadVocabulary(const JsonField& field, ByteLevelBpeParts* parts) {
  SSMD_ASSIGN_OR_RETURN(const JsonObject members, field.Object());
  if (members.empty()) return field.Error("is empty");
  TokenIds ids;
  absl::flat_hash_set<int32_t> taken;
  ids.reserve(members.size());
  taken.reserve(members.size());
  parts->vocabulary.reserve(members.size());
  for (const auto& [text, value] : members) {
    const auto id = value.AsInt();
    if (!id.has_value() || *id < 0 || *id >= kMaxTokenIds) {
      return field.Error(absl::StrCat("the id of \"", View(text), "\" must be in [0, ",
                                      kMaxTokenIds, "), not ", value.Describe()));
    }
    if (!taken.insert(static_cast<int32_t>(*id)).second) {
      return field.Error(absl::StrCat("two tokens have the id ", *id));
    }
    ids.emplace(View(text), static_cast<int32_t>(*id));
    parts->vocabulary.push_back({static_cast<int32_t>(*id), std::string(text)});
  }
  return ids;
}

// ["a b", …] or [["a", "b"], …].
absl::StatusOr<std::pair<absl::string_view, absl::string_view>> ReadPair(const JsonField& field) {
  if (const auto text = field.value().AsString()) {
    if (const auto sides = CutMerge(*text)) return *sides;
  } else if (const JsonArray sides = field.value().elements(); sides.size() == 2) {
    const auto left = sides[0].AsString();
    const auto right = sides[1].AsString();
    if (left.has_value() && right.has_value()) return std::make_pair(View(*left), View(*right));
  }
  return field.Error(absl::StrCat("must be two tokens, not ", field.value().Describe()));
}

absl::Status ReadMerges(const JsonField& field, const TokenIds& ids, ByteLevelBpeParts* parts) {
  SSMD_ASSIGN_OR_RETURN(const JsonArray elements, field.Array());
  parts->merges.reserve(elements.size());
  for (size_t i = 0; i < elements.size(); ++i) {
    const auto line = elements[i].AsString();
    if (line.has_value() && absl::StartsWith(View(*line), "#version")) continue;
    SSMD_ASSIGN_OR_RETURN(const auto pair, ReadPair(field.Element(i)));
    const auto merge = FindMerge(ids, pair.first, pair.second);
    if (!merge.ok()) {
      const absl::string_view reason = merge.status().message();
      return field.Element(i).Error({reason.data(), reason.size()});
    }
    parts->merges.push_back(*merge);
  }
  return absl::OkStatus();
}

// Options that change how text is encoded and that byte-level files do not use.
absl::Status RefuseForeignOptions(const JsonField& model, const ByteLevelBpeParts& parts) {
  if (const auto dropout = model.Find("dropout")) {
    if (dropout->value().AsDouble() != 0.0) return dropout->Unsupported();
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const auto text = model.Find(key);
    if (text.has_value() && text->value().AsString() != "") return text->Unsupported();
  }
  // Neither has an effect where every byte that UTF-8 can hold is a token.
  std::array<bool, 256> is_token{};
  for (const auto& token : parts.vocabulary) {
    const auto bytes = BytesWrittenBy(token.text);
    if (bytes.has_value() && bytes->size() == 1) {
      is_token[static_cast<unsigned char>((*bytes)[0])] = true;
    }
  }
  for (size_t byte = 0; byte < is_token.size(); ++byte) {
    const bool in_utf8 = byte < 0xC0 || (byte > 0xC1 && byte < 0xF5);
    if (is_token[byte] || !in_utf8) continue;
    const auto unk_token = model.Find("unk_token");
    if (unk_token.has_value()) return unk_token->Unsupported();
    const auto fallback = model.Find("byte_fallback");
    if (fallback.has_value() && fallback->value().AsBool() != false) {
      return fallback->Unsupported();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<TokenIds> ReadModel(const JsonField& model, ByteLevelBpeParts* parts) {
  if (const auto type = model.Find("type")) {
    if (type->value().AsString() != "BPE") return type->Unsupported();
  }
  SSMD_ASSIGN_OR_RETURN(const JsonField vocabulary, model.Require("vocab"));
  SSMD_ASSIGN_OR_RETURN(TokenIds ids, ReadVocabulary(vocabulary, parts));
  SSMD_ASSIGN_OR_RETURN(const JsonField merges, model.Require("merges"));
  SSMD_RETURN_IF_ERROR(ReadMerges(merges, ids, parts));
  SSMD_RETURN_IF_ERROR(RefuseForeignOptions(model, *parts));
  if (const auto flag = model.Find("ignore_merges")) {
    SSMD_ASSIGN_OR_RETURN(parts->ignore_merges, flag->Bool());
  }
  return ids;
}

// --- added_tokens --------------------------------------------------------------------------------

absl::StatusOr<AddedToken> ReadAddedToken(const JsonField& field) {
  AddedToken token;
  SSMD_ASSIGN_OR_RETURN(const JsonField id, field.Require("id"));
  SSMD_ASSIGN_OR_RETURN(token.id, ReadId(id));
  SSMD_ASSIGN_OR_RETURN(const JsonField content, field.Require("content"));
  SSMD_ASSIGN_OR_RETURN(const std::string_view text, content.String());
  if (text.size() > kMaxAddedTokenBytes) {
    return content.Error(absl::StrCat("is longer than ", kMaxAddedTokenBytes, " bytes"));
  }
  token.content = std::string(text);
  SSMD_ASSIGN_OR_RETURN(token.special, ReadFlag(field, "special"));
  SSMD_ASSIGN_OR_RETURN(token.normalized, ReadFlag(field, "normalized"));
  SSMD_ASSIGN_OR_RETURN(token.single_word, ReadFlag(field, "single_word"));
  SSMD_ASSIGN_OR_RETURN(token.lstrip, ReadFlag(field, "lstrip"));
  SSMD_ASSIGN_OR_RETURN(token.rstrip, ReadFlag(field, "rstrip"));
  return token;
}

// Hugging Face gives a token the id that the vocabulary has for its text, else the next one behind
// the vocabulary, whatever the file says. A file that says something else is refused, rather than
// read in one of two ways.
absl::Status ReadAddedTokens(const JsonField& field, TokenIds ids, ByteLevelBpeParts* parts) {
  SSMD_ASSIGN_OR_RETURN(const JsonArray elements, field.Array());
  absl::flat_hash_set<int32_t> taken;
  for (const auto& [text, id] : ids) taken.insert(id);
  absl::flat_hash_set<int32_t> added;
  auto next_id = static_cast<int32_t>(ids.size());
  for (size_t i = 0; i < elements.size(); ++i) {
    const JsonField element = field.Element(i);
    SSMD_ASSIGN_OR_RETURN(AddedToken token, ReadAddedToken(element));
    if (token.content.empty()) continue;
    const auto known = ids.find(View(token.content));
    const int32_t id = known != ids.end() ? known->second : next_id++;
    if (token.id != id) {
      return element.Error(absl::StrCat("the id must be ", id, ", not ", token.id));
    }
    if (!added.insert(id).second || (known == ids.end() && !taken.insert(id).second)) {
      return element.Error(absl::StrCat("another token has the id ", id));
    }
    parts->added.push_back(std::move(token));
  }
  return absl::OkStatus();
}

// --- normalizer, decoder, post_processor ---------------------------------------------------------

absl::StatusOr<std::string_view> ReadType(const JsonField& field) {
  SSMD_ASSIGN_OR_RETURN(const JsonField type, field.Require("type"));
  return type.String();
}

// Calls fn(element) for each element of the array `key`.
template <typename Fn>
absl::Status ForEachElement(const JsonField& field, std::string_view key, Fn fn) {
  SSMD_ASSIGN_OR_RETURN(const JsonField list, field.Require(key));
  SSMD_ASSIGN_OR_RETURN(const JsonArray elements, list.Array());
  for (size_t i = 0; i < elements.size(); ++i) SSMD_RETURN_IF_ERROR(fn(list.Element(i)));
  return absl::OkStatus();
}

absl::Status ReadNormalizer(const JsonField& field, bool* nfc) {
  SSMD_ASSIGN_OR_RETURN(const std::string_view type, ReadType(field));
  if (type == "NFC") {
    *nfc = true;
    return absl::OkStatus();
  }
  if (type != "Sequence") return field.Find("type")->Unsupported();
  return ForEachElement(field, "normalizers",
                        [&](const JsonField& element) { return ReadNormalizer(element, nfc); });
}

absl::Status CheckDecoder(const JsonField& field) {
  SSMD_ASSIGN_OR_RETURN(const std::string_view type, ReadType(field));
  if (type == "ByteLevel") return absl::OkStatus();
  if (type != "Sequence") return field.Find("type")->Unsupported();
  return ForEachElement(field, "decoders", CheckDecoder);
}

// The template of a single text: at most one special token before it, nothing behind it.
absl::Status ReadTemplate(const JsonField& field, std::optional<int32_t>* bos) {
  SSMD_ASSIGN_OR_RETURN(const JsonField single, field.Require("single"));
  SSMD_ASSIGN_OR_RETURN(const JsonArray pieces, single.Array());
  const bool text_is_last =
      !pieces.empty() && pieces[pieces.size() - 1].Find("Sequence").has_value();
  if (!text_is_last || pieces.size() > 2) {
    return single.Error("must be the text, with at most one special token before it");
  }
  if (pieces.size() == 1) return absl::OkStatus();
  SSMD_ASSIGN_OR_RETURN(const JsonField special, single.Element(0).Require("SpecialToken"));
  SSMD_ASSIGN_OR_RETURN(const JsonField name, special.Require("id"));
  SSMD_ASSIGN_OR_RETURN(const std::string_view key, name.String());
  SSMD_ASSIGN_OR_RETURN(const JsonField table, field.Require("special_tokens"));
  SSMD_ASSIGN_OR_RETURN(const JsonField entry, table.Require(key));
  SSMD_ASSIGN_OR_RETURN(const JsonField ids, entry.Require("ids"));
  SSMD_ASSIGN_OR_RETURN(const JsonArray list, ids.Array());
  if (list.size() != 1) return ids.Error("must be one token id");
  SSMD_ASSIGN_OR_RETURN(*bos, ReadId(ids.Element(0)));
  return absl::OkStatus();
}

absl::Status ReadPostProcessor(const JsonField& field, std::optional<int32_t>* bos) {
  SSMD_ASSIGN_OR_RETURN(const std::string_view type, ReadType(field));
  if (type == "ByteLevel") return absl::OkStatus();  // concerns offsets only
  if (type == "TemplateProcessing") {
    if (bos->has_value()) return field.Error("a second template with a token is not supported");
    return ReadTemplate(field, bos);
  }
  if (type != "Sequence") return field.Find("type")->Unsupported();
  return ForEachElement(field, "processors",
                        [&](const JsonField& element) { return ReadPostProcessor(element, bos); });
}

bool IsToken(const ByteLevelBpeParts& parts, int32_t id) {
  for (const auto& token : parts.vocabulary) {
    if (token.id == id) return true;
  }
  for (const auto& token : parts.added) {
    if (token.id == id) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<ByteLevelBpeParts> ReadTokenizerJson(const JsonField& root) {
  SSMD_RETURN_IF_ERROR(root.Object().status());
  if (const auto version = root.Find("version")) {
    if (version->value().AsString() != "1.0") return version->Unsupported();
  }
  ByteLevelBpeParts parts;
  SSMD_ASSIGN_OR_RETURN(const JsonField model, root.Require("model"));
  SSMD_ASSIGN_OR_RETURN(TokenIds ids, ReadModel(model, &parts));
  if (const auto field = root.Find("added_tokens")) {
    SSMD_RETURN_IF_ERROR(ReadAddedTokens(*field, std::move(ids), &parts));
  }
  if (const auto field = root.Find("normalizer")) {
    SSMD_RETURN_IF_ERROR(ReadNormalizer(*field, &parts.nfc));
  }
  SSMD_ASSIGN_OR_RETURN(const JsonField pre_tokenizer, root.Require("pre_tokenizer"));
  SSMD_ASSIGN_OR_RETURN(parts.pre_tokenizer, ReadPreTokenizer(pre_tokenizer));
  if (const auto field = root.Find("decoder")) SSMD_RETURN_IF_ERROR(CheckDecoder(*field));
  if (const auto field = root.Find("post_processor")) {
    SSMD_RETURN_IF_ERROR(ReadPostProcessor(*field, &parts.bos_to_add));
    if (parts.bos_to_add.has_value() && !IsToken(parts, *parts.bos_to_add)) {
      return field->Error(absl::StrCat("no token has the id ", *parts.bos_to_add));
    }
  }
  return parts;
}

}  // namespace ssmd
