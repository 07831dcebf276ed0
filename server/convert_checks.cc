// See convert_checks.h.
#include "server/convert_checks.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/errors.h"

namespace ssmd::server {
namespace {

// Shortest text that reads back the same, for messages.
std::string Shown(float value) { return absl::StrFormat("%.9g", value); }

constexpr std::pair<v1::ChatRole, ChatRole> kRoles[] = {
    {v1::CHAT_ROLE_SYSTEM, ChatRole::kSystem},
    {v1::CHAT_ROLE_USER, ChatRole::kUser},
    {v1::CHAT_ROLE_ASSISTANT, ChatRole::kAssistant}};

}  // namespace

absl::Status InvalidField(const std::string& message) {
  return WithReason(absl::InvalidArgumentError(message), reason::kInvalidField);
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

absl::StatusOr<std::vector<ChatMessage>> ConvertMessages(const v1::ChatMessages& in,
                                                         const RequestLimits& limits) {
  if (in.messages_size() == 0) return InvalidField("messages must hold at least one message");
  SSMD_RETURN_IF_ERROR(
      CheckCount("messages", in.messages_size(), limits.messages, "--max-messages"));
  std::vector<ChatMessage> out;
  int64_t bytes = 0;
  for (int i = 0; i < in.messages_size(); ++i) {
    const v1::ChatMessage& message = in.messages(i);
    const std::string words = absl::StrCat(
        "messages[", i, "].role must be CHAT_ROLE_SYSTEM, CHAT_ROLE_USER or CHAT_ROLE_ASSISTANT");
    SSMD_ASSIGN_OR_RETURN(const ChatRole role, ConvertEnum(kRoles, message.role(), words.c_str()));
    bytes += static_cast<int64_t>(message.content().size());
    out.push_back(ChatMessage{role, message.content()});
  }
  SSMD_RETURN_IF_ERROR(CheckBytes("messages", bytes, limits.prompt_bytes, "--max-prompt-bytes"));
  return out;
}

}  // namespace ssmd::server
