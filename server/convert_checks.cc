// See convert_checks.h.
#include "server/convert_checks.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>
#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"

namespace ssmd::server {
namespace {

// Shortest text that reads back the same, for messages.
std::string Shown(float value) { return absl::StrFormat("%.9g", value); }

constexpr std::pair<v1::ChatRole, const char*> kRoles[] = {{v1::CHAT_ROLE_SYSTEM, "system"},
                                                           {v1::CHAT_ROLE_USER, "user"},
                                                           {v1::CHAT_ROLE_ASSISTANT, "assistant"},
                                                           {v1::CHAT_ROLE_TOOL, "tool"},
                                                           {v1::CHAT_ROLE_DEVELOPER, "developer"}};
constexpr size_t kRoleNameBytesMax = 64;
constexpr size_t kRequestIdBytesMax = 128;

absl::StatusOr<std::string> ConvertRole(const v1::ChatMessage& message, const std::string& field) {
  const std::string& name = message.role_name();
  if (name.empty()) {
    const std::string words =
        absl::StrCat(field,
                     ".role must be CHAT_ROLE_SYSTEM, CHAT_ROLE_USER, CHAT_ROLE_ASSISTANT, "
                     "CHAT_ROLE_TOOL or CHAT_ROLE_DEVELOPER, or role_name be set");
    SSMD_ASSIGN_OR_RETURN(const char* role, ConvertEnum(kRoles, message.role(), words.c_str()));
    return std::string(role);
  }
  if (message.role() != v1::CHAT_ROLE_UNSPECIFIED) {
    return InvalidField(absl::StrCat(field, " has both role and role_name"));
  }
  if (name.size() > kRoleNameBytesMax) {
    return InvalidField(absl::StrCat(field, ".role_name has ", name.size(), " bytes; the limit is ",
                                     kRoleNameBytesMax));
  }
  return name;
}

absl::StatusOr<ChatMessage> ConvertMessage(const v1::ChatMessage& in, const std::string& field) {
  ChatMessage out;
  SSMD_ASSIGN_OR_RETURN(out.role, ConvertRole(in, field));
  if (!in.content().empty() || in.tool_calls_json().empty()) out.content = in.content();
  out.name = in.name();
  out.tool_call_id = in.tool_call_id();
  out.reasoning_content = in.reasoning_content();
  out.tool_calls = in.tool_calls_json();
  return out;
}

// A retry is the same request: the same bytes but for the name, however its maps were ordered.
uint64_t HashOf(const google::protobuf::Message& body) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    body.SerializeToCodedStream(&coded);
  }
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace

absl::StatusOr<RequestKey> ConvertRequestKey(const std::string& request_id,
                                             const google::protobuf::Message& body) {
  if (request_id.size() > kRequestIdBytesMax) {
    return InvalidField(absl::StrCat("request_id must have 1 to ", kRequestIdBytesMax,
                                     " characters, got ", request_id.size()));
  }
  const bool printable = std::all_of(request_id.begin(), request_id.end(),
                                     [](char c) { return c >= 0x20 && c <= 0x7e; });
  if (!printable) return InvalidField("request_id must be printable ASCII");
  return RequestKey{request_id, HashOf(body)};
}

absl::Status CheckFloat(const char* field, float value, float low, float high) {
  // Written so that NaN fails.
  if (value >= low && value <= high) return absl::OkStatus();
  return InvalidField(
      absl::StrCat(field, " must be in [", Shown(low), ", ", Shown(high), "], got ", Shown(value)));
}

absl::Status CheckFloatAboveZero(const char* field, float value, float high) {
  if (value > 0 && value <= high) return absl::OkStatus();
  return InvalidField(
      absl::StrCat(field, " must be in (0, ", Shown(high), "], got ", Shown(value)));
}

absl::Status CheckInt(const char* field, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return InvalidField(absl::StrCat(field, " must be in [", low, ", ", high, "], got ", value));
}

absl::Status CheckCount(const char* field, int64_t count, int64_t most, const char* flag) {
  if (count <= most) return absl::OkStatus();
  return InvalidField(absl::StrCat(field, " has ", count, " entries, more than this server's ",
                                   flag, " of ", most));
}

absl::Status CheckBytes(const char* field, int64_t bytes, int64_t most, const char* flag) {
  if (bytes <= most) return absl::OkStatus();
  return InvalidField(
      absl::StrCat(field, " has ", bytes, " bytes, more than this server's ", flag, " of ", most));
}

absl::Status CheckName(const char* field, const std::string& value, const RequestLimits& limits) {
  if (static_cast<int64_t>(value.size()) <= limits.name_bytes) return absl::OkStatus();
  return InvalidField(absl::StrCat(field, " has ", value.size(), " bytes, more than the ",
                                   limits.name_bytes, " of any name"));
}

absl::Status CheckSessionId(const std::string& value, const RequestLimits& limits) {
  if (value.empty()) return InvalidField("session_id must be given");
  return CheckName("session_id", value, limits);
}

absl::Status CheckTokenIds(const char* field,
                           const google::protobuf::RepeatedField<int32_t>& token_ids) {
  for (const int32_t id : token_ids) {
    if (id < 0) return InvalidField(absl::StrCat(field, " must not be negative, got ", id));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ConvertText(const std::string& text, const RequestLimits& limits) {
  SSMD_RETURN_IF_ERROR(CheckBytes("the prompt's text", static_cast<int64_t>(text.size()),
                                  limits.prompt_bytes, "--max-prompt-bytes"));
  return text;
}

absl::StatusOr<std::vector<int32_t>> ConvertTokenIds(const v1::TokenIds& ids, int64_t most,
                                                     const char* flag) {
  SSMD_RETURN_IF_ERROR(CheckCount("token_ids", ids.ids_size(), most, flag));
  SSMD_RETURN_IF_ERROR(CheckTokenIds("token_ids", ids.ids()));
  return std::vector<int32_t>(ids.ids().begin(), ids.ids().end());
}

absl::StatusOr<ChatPrompt> ConvertMessages(const v1::ChatMessages& in,
                                           const RequestLimits& limits) {
  if (in.messages_size() == 0) return InvalidField("messages must hold at least one message");
  SSMD_RETURN_IF_ERROR(
      CheckCount("messages", in.messages_size(), limits.messages, "--max-messages"));
  ChatPrompt out;
  size_t bytes = in.tools_json().size() + in.template_arguments_json().size();
  for (int i = 0; i < in.messages_size(); ++i) {
    SSMD_ASSIGN_OR_RETURN(ChatMessage message,
                          ConvertMessage(in.messages(i), absl::StrCat("messages[", i, "]")));
    bytes += message.content.value_or("").size() + message.name.size() +
             message.tool_call_id.size() + message.reasoning_content.size() +
             message.tool_calls.size();
    out.messages.push_back(std::move(message));
  }
  SSMD_RETURN_IF_ERROR(CheckBytes("messages", static_cast<int64_t>(bytes), limits.prompt_bytes,
                                  "--max-prompt-bytes"));
  out.tools = in.tools_json();
  out.template_arguments = in.template_arguments_json();
  out.continue_final_message = in.continue_final_message();
  out.add_generation_prompt =
      in.has_add_generation_prompt() ? in.add_generation_prompt() : !out.continue_final_message;
  if (out.continue_final_message && out.add_generation_prompt) {
    return InvalidField("add_generation_prompt does not go with continue_final_message");
  }
  return out;
}

}  // namespace ssmd::server
