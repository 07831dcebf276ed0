#include "engine/text/chat_template.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/formats/checkpoint.h"
#include "engine/formats/gguf.h"
#include "engine/formats/json.h"
#include "engine/formats/mapped_file.h"
#include "engine/text/builtin_chat_formats.h"
#include "engine/text/json_fields.h"

namespace ssmd {
namespace {

constexpr char kJinjaFile[] = "chat_template.jinja";
constexpr char kJsonFile[] = "chat_template.json";
constexpr char kConfigFile[] = "tokenizer_config.json";
constexpr char kTokensFile[] = "special_tokens_map.json";
constexpr char kGgufTemplate[] = "tokenizer.chat_template";
constexpr char kGgufToolTemplate[] = "tokenizer.chat_template.tool_use";
constexpr JsonLimits kJsonLimits = {
    .bytes = size_t{16} << 20, .values = size_t{1} << 20, .depth = 64, .allow_non_finite = true};

// The special tokens that templates know by name, and what GGUF calls their ids.
constexpr std::pair<const char*, const char*> kSpecialTokens[] = {
    {"bos_token", "tokenizer.ggml.bos_token_id"},
    {"eos_token", "tokenizer.ggml.eos_token_id"},
    {"unk_token", "tokenizer.ggml.unknown_token_id"},
    {"sep_token", "tokenizer.ggml.seperator_token_id"},
    {"pad_token", "tokenizer.ggml.padding_token_id"},
    {"cls_token", "tokenizer.ggml.cls_token_id"},
    {"mask_token", "tokenizer.ggml.mask_token_id"}};

// What a model's files say, with the places for errors.
struct Found {
  struct Source {
    std::string text;
    std::string place;
  };
  std::optional<Source> main;
  std::optional<Source> with_tools;
  SpecialTokenTexts special_tokens;

  void Add(std::string_view name, std::string text, std::string place) {
    if (name == "default") main = Source{std::move(text), std::move(place)};
    if (name == "tool_use") with_tools = Source{std::move(text), std::move(place)};
  }
};

// Absent where there is no such file.
absl::StatusOr<std::optional<JsonDocument>> ReadJson(const std::string& directory,
                                                     const char* file) {
  auto read = JsonDocument::ParseFile(absl::StrCat(directory, "/", file), kJsonLimits);
  if (absl::IsNotFound(read.status())) return std::optional<JsonDocument>();
  if (!read.ok()) return read.status();
  return std::optional<JsonDocument>(*std::move(read));
}

// "chat_template": a string, or a list of {name, template}.
absl::Status ReadTemplates(const char* file, const JsonDocument& document, Found* found) {
  const auto field = JsonField::Root(file, document.root()).Find("chat_template");
  if (!field.has_value()) return absl::OkStatus();
  const std::string place = absl::StrCat(file, ": chat_template");
  if (!field->value().is_array()) {
    SSMD_ASSIGN_OR_RETURN(const std::string_view text, field->String());
    found->Add("default", std::string(text), place);
    return absl::OkStatus();
  }
  SSMD_ASSIGN_OR_RETURN(const JsonArray list, field->Array());
  for (size_t i = 0; i < list.size(); ++i) {
    const JsonField entry = field->Element(i);
    SSMD_ASSIGN_OR_RETURN(const JsonField name_field, entry.Require("name"));
    SSMD_ASSIGN_OR_RETURN(const std::string_view name, name_field.String());
    SSMD_ASSIGN_OR_RETURN(const JsonField text_field, entry.Require("template"));
    SSMD_ASSIGN_OR_RETURN(const std::string_view text, text_field.String());
    found->Add(name, std::string(text), absl::StrCat(place, "[", i, "]"));
  }
  return absl::OkStatus();
}

// A token is a string, or an object that holds it as "content". What is there already stays.
void ReadSpecialTokens(const JsonField& root, SpecialTokenTexts* tokens) {
  for (const auto& [name, key] : kSpecialTokens) {
    const auto field = root.Find(name);
    if (!field.has_value()) continue;
    const auto known = std::find_if(tokens->begin(), tokens->end(),
                                    [name = name](const auto& t) { return t.first == name; });
    const auto content = field->value().is_object() ? field->Find("content") : field;
    const auto text = content.has_value() ? content->value().AsString() : std::nullopt;
    if (known == tokens->end() && text.has_value()) {
      tokens->emplace_back(name, std::string(*text));
    }
  }
}

absl::StatusOr<Found> ReadFolder(const std::string& directory) {
  Found found;
  SSMD_ASSIGN_OR_RETURN(const auto config, ReadJson(directory, kConfigFile));
  if (config.has_value()) {
    SSMD_RETURN_IF_ERROR(ReadTemplates(kConfigFile, *config, &found));
    ReadSpecialTokens(JsonField::Root(kConfigFile, config->root()), &found.special_tokens);
  }
  SSMD_ASSIGN_OR_RETURN(const auto tokens, ReadJson(directory, kTokensFile));
  if (tokens.has_value()) {
    ReadSpecialTokens(JsonField::Root(kTokensFile, tokens->root()), &found.special_tokens);
  }
  SSMD_ASSIGN_OR_RETURN(const auto json, ReadJson(directory, kJsonFile));
  if (json.has_value()) {
    SSMD_RETURN_IF_ERROR(ReadTemplates(kJsonFile, *json, &found));
  }
  const auto jinja = MappedFile::Open(absl::StrCat(directory, "/", kJinjaFile));
  if (jinja.ok()) {
    const auto* text = reinterpret_cast<const char*>(jinja->data());
    found.Add("default", std::string(text, jinja->size()), kJinjaFile);
  } else if (!absl::IsNotFound(jinja.status())) {
    return jinja.status();
  }
  return found;
}

absl::StatusOr<Found> ReadGguf(const std::string& path, const Tokenizer& tokenizer) {
  SSMD_ASSIGN_OR_RETURN(const Gguf gguf, Gguf::Open(path));
  Found found;
  for (const auto& [key, name] :
       {std::pair(kGgufTemplate, "default"), std::pair(kGgufToolTemplate, "tool_use")}) {
    const GgufValue* value = gguf.Find(key);
    if (value == nullptr) continue;
    const auto text = value->AsString();
    if (!text.has_value()) {
      return gguf.KeyError(key, absl::StrCat("must be a string, got ", value->Describe()));
    }
    found.Add(name, std::string(*text), absl::StrCat(gguf.source(), ": ", key));
  }
  for (const auto& [name, key] : kSpecialTokens) {
    const GgufValue* value = gguf.Find(key);
    const auto id = value == nullptr ? std::nullopt : value->AsInt();
    if (!id.has_value() || *id < 0 || *id >= tokenizer.size()) continue;
    found.special_tokens.emplace_back(name, tokenizer.TokenBytes(static_cast<int32_t>(*id)));
  }
  return found;
}

// Other files than GGUF say nothing of chats.
absl::StatusOr<Found> ReadFile(const std::string& path, const Tokenizer& tokenizer) {
  SSMD_ASSIGN_OR_RETURN(const ModelFileKind kind, KindOfModelFile(path));
  return kind == ModelFileKind::kGguf ? ReadGguf(path, tokenizer) : Found();
}

absl::StatusOr<jinja::Template> ParseTemplate(const Found::Source& source) {
  auto parsed = jinja::Template::Parse(source.text);
  if (parsed.ok()) return parsed;
  return absl::InvalidArgumentError(absl::StrCat(source.place, ": ", parsed.status().message()));
}

}  // namespace

bool IsChatChoice(const std::string& choice) {
  return choice == kChatAuto || choice == kChatNone || BuiltinChatFormat(choice, {}).has_value();
}

std::string ChatChoices() {
  return absl::StrCat(kChatAuto, ", ", kChatNone, ", ", BuiltinChatFormatNames());
}

absl::StatusOr<std::unique_ptr<ChatFormat>> LoadChatFormat(const std::string& path,
                                                           const std::string& choice,
                                                           const Tokenizer* tokenizer) {
  SSMD_ASSIGN_OR_RETURN(const Found found,
                        IsRegularFile(path) ? ReadFile(path, *tokenizer) : ReadFolder(path));
  const bool own = choice == kChatAuto && (found.main.has_value() || found.with_tools.has_value());
  if (!own) {
    auto parts = BuiltinChatFormat(choice == kChatAuto ? "plain" : choice, found.special_tokens);
    return std::make_unique<ChatFormat>(*std::move(parts), tokenizer);
  }
  SSMD_ASSIGN_OR_RETURN(jinja::Template main,
                        ParseTemplate(found.main.has_value() ? *found.main : *found.with_tools));
  ChatFormatParts parts = {
      "template",        std::move(main), std::nullopt, found.special_tokens, {},
      /*adds_bos=*/false};
  if (found.main.has_value() && found.with_tools.has_value()) {
    SSMD_ASSIGN_OR_RETURN(parts.with_tools, ParseTemplate(*found.with_tools));
  }
  return std::make_unique<ChatFormat>(std::move(parts), tokenizer);
}

}  // namespace ssmd
