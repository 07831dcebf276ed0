// See prompt_in.h.
#include "server/http/api/prompt_in.h"

#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"
#include "engine/base/text_view.h"

namespace ssmd::server {
namespace {

// Text, or parts of which each is text.
std::optional<std::string> ReadContent(JsonIn* in, std::string_view name) {
  const auto content = in->Any(name);
  if (!content.has_value()) return std::nullopt;
  if (const auto text = content->AsString()) return std::string(*text);
  constexpr char kWhat[] = "a string or an array of parts of type \"text\"";
  std::string all;
  for (const JsonValue part : content->elements()) {
    const auto type = part.Find("type");
    const auto text = part.Find("text");
    const auto kind = type.has_value() ? type->AsString() : std::nullopt;
    const bool is_text = kind == "text" || kind == "input_text" || kind == "output_text";
    if (!is_text || !text.has_value() || !text->is_string()) {
      in->Refuse(name, kWhat);
      return std::nullopt;
    }
    all += *text->AsString();
  }
  if (content->is_array()) return all;
  in->Refuse(name, kWhat);
  return std::nullopt;
}

void SetRole(const std::string& role, v1::ChatMessage* out) {
  constexpr std::pair<std::string_view, v1::ChatRole> kRoleNames[] = {
      {"system", v1::CHAT_ROLE_SYSTEM},
      {"user", v1::CHAT_ROLE_USER},
      {"assistant", v1::CHAT_ROLE_ASSISTANT},
      {"tool", v1::CHAT_ROLE_TOOL},
      {"developer", v1::CHAT_ROLE_DEVELOPER}};
  for (const auto& [name, value] : kRoleNames) {
    if (name == role) return out->set_role(value);
  }
  out->set_role_name(role);
}

absl::Status ReadMessage(JsonValue value, const std::string& path, v1::ChatMessage* out) {
  JsonIn in(value, path + ".");
  const auto role = in.Text("role");
  if (role.has_value() && !role->empty()) {
    SetRole(*role, out);
  } else {
    in.Refuse("role", "given");
  }
  if (auto content = ReadContent(&in, "content")) out->set_content(*std::move(content));
  if (auto name = in.Text("name")) out->set_name(*std::move(name));
  if (auto id = in.Text("tool_call_id")) out->set_tool_call_id(*std::move(id));
  if (auto text = in.Text("reasoning_content")) out->set_reasoning_content(*std::move(text));
  if (const auto calls = in.Any("tool_calls")) {
    if (!calls->is_array()) in.Refuse("tool_calls", "an array");
    out->set_tool_calls_json(calls->ToJson());
  }
  for (const char* name : {"refusal", "annotations", "type", "id", "status"}) in.Ignore(name);
  ReadUnsupported(&in, "audio", "it reads text");
  ReadUnsupported(&in, "function_call", "give tool_calls");
  return in.Check();
}

}  // namespace

void ReadMessages(JsonIn* in, std::string_view name, v1::ChatMessages* out) {
  const auto messages = in->Any(name);
  if (!messages.has_value()) return;
  if (!messages->is_array()) return in->Refuse(name, "an array of messages");
  int index = 0;
  for (const JsonValue message : messages->elements()) {
    const std::string path = absl::StrCat(in->NameOf(name), "[", index++, "]");
    if (const absl::Status status = ReadMessage(message, path, out->add_messages()); !status.ok()) {
      return in->Fail(status);
    }
  }
}

void ReadTemplateOptions(JsonIn* in, v1::ChatMessages* out) {
  if (const auto arguments = in->Any("chat_template_kwargs")) {
    if (!arguments->is_object()) in->Refuse("chat_template_kwargs", "an object");
    out->set_template_arguments_json(arguments->ToJson());
  }
  if (const auto on = in->Flag("continue_final_message")) out->set_continue_final_message(*on);
  if (const auto on = in->Flag("add_generation_prompt")) out->set_add_generation_prompt(*on);
}

void ReadLifetime(JsonIn* in, v1::SessionLifetime* out) {
  if (const auto ttl = in->Long("ttl_seconds", 0, std::numeric_limits<int64_t>::max()))
    out->set_ttl_seconds(*ttl);
  if (const auto idle = in->Long("idle_seconds", 0, std::numeric_limits<int64_t>::max()))
    out->set_idle_seconds(*idle);
}

void ReadUnsupported(JsonIn* in, std::string_view name, std::string_view why) {
  const auto value = in->Any(name);
  if (!value.has_value()) return;
  const bool nothing = (value->is_array() && value->elements().empty()) ||
                       (value->is_object() && value->members().empty()) ||
                       value->AsBool() == std::optional<bool>(false);
  if (!nothing) {
    in->Fail(InvalidField(
        absl::StrCat(in->NameOf(name), " is not supported by this server: ", View(why))));
  }
}

bool ReadIds(JsonValue value, v1::TokenIds* out) {
  for (const JsonValue element : value.elements()) {
    const auto id = element.AsInt();
    if (!id.has_value() || *id < std::numeric_limits<int32_t>::min() ||
        *id > std::numeric_limits<int32_t>::max()) {
      return false;
    }
    out->add_ids(static_cast<int32_t>(*id));
  }
  return value.is_array();
}

}  // namespace ssmd::server
