#include "engine/text/chat_values.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/formats/json.h"
#include "engine/text/jinja/json_value.h"
#include "engine/text/utf8.h"

namespace ssmd {
namespace {

using jinja::Dict;
using jinja::Origin;
using jinja::Text;
using jinja::Value;

constexpr JsonLimits kChatJsonLimits = {
    .bytes = size_t{16} << 20, .values = size_t{1} << 18, .depth = 64};
constexpr size_t kMaxRoleBytes = 64;

// Templates may build special tokens of these; other roles are text like any other.
constexpr std::string_view kKnownRoles[] = {"system",    "user",     "assistant", "tool",
                                            "developer", "function", "context"};

absl::Status CheckUtf8(std::string_view text, std::string_view field) {
  const auto invalid = FindInvalidUtf8(text);
  if (!invalid.has_value()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(View(field), " is not UTF-8 at byte ", *invalid));
}

absl::StatusOr<Value> ParseJson(const std::string& json, std::string_view what, Origin origin,
                                bool array) {
  SSMD_ASSIGN_OR_RETURN(const JsonDocument document,
                        JsonDocument::Parse(json, what, kChatJsonLimits));
  if (array ? !document.root().is_array() : !document.root().is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(View(what), " must be ",
                                                   array ? "an array" : "an object", ", not ",
                                                   document.root().Describe()));
  }
  return jinja::FromJson(document.root(), origin);
}

// `dict` with another value of one of its keys.
absl::StatusOr<Value> WithMember(const Dict& dict, std::string_view key, Value value) {
  auto changed = std::make_shared<Dict>();
  for (const auto& [name, member] : dict.members) {
    const bool found = name.is_string() && name.text().bytes() == key;
    SSMD_RETURN_IF_ERROR(changed->Set(name, found ? value : member));
  }
  return Value::Of(std::shared_ptr<const Dict>(std::move(changed)));
}

// A call whose function.arguments are an object where they were one in a string.
absl::StatusOr<Value> WithParsedArguments(const Value& call, Origin origin) {
  if (!call.is_dict()) return call;
  const Value* function = call.dict().Find("function");
  if (function == nullptr || !function->is_dict()) return call;
  const Value* arguments = function->dict().Find("arguments");
  if (arguments == nullptr || !arguments->is_string()) return call;
  auto parsed = ParseJson(arguments->text().bytes(), "arguments", origin, /*array=*/false);
  if (!parsed.ok()) return call;  // text that is no object stays text
  SSMD_ASSIGN_OR_RETURN(Value changed,
                        WithMember(function->dict(), "arguments", *std::move(parsed)));
  return WithMember(call.dict(), "function", std::move(changed));
}

absl::StatusOr<Value> ToolCalls(const std::string& json, Origin origin) {
  SSMD_ASSIGN_OR_RETURN(const Value calls, ChatJsonArray(json, "tool_calls", origin));
  std::vector<Value> parsed;
  for (const Value& call : calls.sequence().items) {
    SSMD_ASSIGN_OR_RETURN(Value changed, WithParsedArguments(call, origin));
    parsed.push_back(std::move(changed));
  }
  return jinja::MakeSequence(std::move(parsed));
}

}  // namespace

absl::StatusOr<Value> ChatJsonArray(const std::string& json, std::string_view what, Origin origin) {
  return ParseJson(json, what, origin, /*array=*/true);
}

absl::StatusOr<Value> ChatJsonObject(const std::string& json, std::string_view what,
                                     Origin origin) {
  return ParseJson(json, what, origin, /*array=*/false);
}

// The members are those that Hugging Face gives a template: none of what is null, and a message's
// reasoning by the two names that templates know.
absl::StatusOr<Value> ChatMessageValue(const ChatMessage& message, Origin origin,
                                       const Text& content_end) {
  if (message.role.empty() || message.role.size() > kMaxRoleBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a message's role must have 1 to ", kMaxRoleBytes, " bytes"));
  }
  auto dict = std::make_shared<Dict>();
  const auto add = [&](std::string_view name, const std::string& text) -> absl::Status {
    if (text.empty()) return absl::OkStatus();
    SSMD_RETURN_IF_ERROR(CheckUtf8(text, name));
    return dict->Set(Value::String(name), Value::String(Text(text, origin)));
  };
  SSMD_RETURN_IF_ERROR(CheckUtf8(message.role, "role"));
  SSMD_RETURN_IF_ERROR(add("thinking", message.reasoning_content));
  const bool known = std::find(std::begin(kKnownRoles), std::end(kKnownRoles), message.role) !=
                     std::end(kKnownRoles);
  SSMD_RETURN_IF_ERROR(
      dict->Set(Value::String("role"),
                Value::String(Text(message.role, known ? jinja::kOfTemplate : origin))));
  if (message.content.has_value()) {
    SSMD_RETURN_IF_ERROR(CheckUtf8(*message.content, "content"));
    Text content(*message.content, origin);
    content.Append(content_end);
    SSMD_RETURN_IF_ERROR(dict->Set(Value::String("content"), Value::String(std::move(content))));
  }
  SSMD_RETURN_IF_ERROR(add("name", message.name));
  if (!message.tool_calls.empty()) {
    SSMD_ASSIGN_OR_RETURN(Value calls, ToolCalls(message.tool_calls, origin));
    SSMD_RETURN_IF_ERROR(dict->Set(Value::String("tool_calls"), std::move(calls)));
  }
  SSMD_RETURN_IF_ERROR(add("tool_call_id", message.tool_call_id));
  SSMD_RETURN_IF_ERROR(add("reasoning_content", message.reasoning_content));
  return Value::Of(std::shared_ptr<const Dict>(std::move(dict)));
}

}  // namespace ssmd
