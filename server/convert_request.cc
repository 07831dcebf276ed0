// Requests: protobuf to engine, checked field by field. See convert.h.
#include <algorithm>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "server/convert.h"

namespace ssmd::server {
namespace {

absl::Status Invalid(const std::string& message) {
  return WithReason(absl::InvalidArgumentError(message), reason::kInvalidField);
}

// Shortest text that reads back the same, for messages.
std::string Shown(float value) { return absl::StrFormat("%.9g", value); }

absl::Status CheckFloat(const char* field, float value, float low, float high) {
  // Written so that NaN fails.
  if (value >= low && value <= high) return absl::OkStatus();
  return Invalid(
      absl::StrCat(field, " must be in [", Shown(low), ", ", Shown(high), "], got ", Shown(value)));
}

absl::Status CheckFloatAboveZero(const char* field, float value, float high) {
  if (value > 0 && value <= high) return absl::OkStatus();
  return Invalid(absl::StrCat(field, " must be in (0, ", Shown(high), "], got ", Shown(value)));
}

absl::Status CheckInt(const char* field, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return Invalid(absl::StrCat(field, " must be in [", low, ", ", high, "], got ", value));
}

absl::Status CheckCount(const char* field, int64_t count, int64_t most, const char* flag) {
  if (count <= most) return absl::OkStatus();
  return Invalid(absl::StrCat(field, " has ", count, " entries, more than this server's ", flag,
                              " of ", most));
}

absl::Status CheckBytes(const char* field, int64_t bytes, int64_t most, const char* flag) {
  if (bytes <= most) return absl::OkStatus();
  return Invalid(
      absl::StrCat(field, " has ", bytes, " bytes, more than this server's ", flag, " of ", most));
}

absl::Status CheckName(const char* field, const std::string& value, const RequestLimits& limits) {
  if (static_cast<int64_t>(value.size()) <= limits.name_bytes) return absl::OkStatus();
  return Invalid(absl::StrCat(field, " has ", value.size(), " bytes, more than the ",
                              limits.name_bytes, " of any name"));
}

template <typename Ids>
absl::Status CheckTokenIds(const char* field, const Ids& ids) {
  for (const int32_t id : ids) {
    if (id < 0) return Invalid(absl::StrCat(field, " must not be negative, got ", id));
  }
  return absl::OkStatus();
}

absl::StatusOr<SamplingParams> ConvertSampling(const v1::SamplingParams& in,
                                               const RequestLimits& limits) {
  SamplingParams out;
  if (in.has_temperature()) out.temperature = in.temperature();
  SSMD_RETURN_IF_ERROR(CheckFloat("temperature", out.temperature, 0, 10));
  if (in.has_top_k()) out.top_k = in.top_k();
  if (out.top_k < 0) return Invalid(absl::StrCat("top_k must be at least 0, got ", out.top_k));
  if (in.has_top_p()) out.top_p = in.top_p();
  SSMD_RETURN_IF_ERROR(CheckFloatAboveZero("top_p", out.top_p, 1));
  if (in.has_min_p()) out.min_p = in.min_p();
  SSMD_RETURN_IF_ERROR(CheckFloat("min_p", out.min_p, 0, 1));
  PenaltyParams& penalties = out.penalties;
  if (in.has_repetition_penalty()) penalties.repetition = in.repetition_penalty();
  SSMD_RETURN_IF_ERROR(CheckFloatAboveZero("repetition_penalty", penalties.repetition, 10));
  if (in.has_presence_penalty()) penalties.presence = in.presence_penalty();
  SSMD_RETURN_IF_ERROR(CheckFloat("presence_penalty", penalties.presence, -2, 2));
  if (in.has_frequency_penalty()) penalties.frequency = in.frequency_penalty();
  SSMD_RETURN_IF_ERROR(CheckFloat("frequency_penalty", penalties.frequency, -2, 2));
  if (in.has_penalty_window()) penalties.window = in.penalty_window();
  SSMD_RETURN_IF_ERROR(CheckInt("penalty_window", penalties.window, 0, kPenaltyWindowMax));
  SSMD_RETURN_IF_ERROR(
      CheckCount("logit_bias", in.logit_bias_size(), limits.logit_bias, "--max-logit-bias"));
  for (const auto& [id, bias] : in.logit_bias()) {
    if (id < 0) return Invalid(absl::StrCat("logit_bias keys must not be negative, got ", id));
    SSMD_RETURN_IF_ERROR(CheckFloat("logit_bias values", bias, -100, 100));
    penalties.logit_bias.emplace_back(id, bias);
  }
  // A map has no order; the engine's work must not depend on the one it came in.
  std::sort(penalties.logit_bias.begin(), penalties.logit_bias.end());
  if (in.has_seed()) out.seed = in.seed();
  return out;
}

absl::StatusOr<StopParams> ConvertStop(const v1::StopParams& in, const RequestLimits& limits) {
  StopParams out;
  SSMD_RETURN_IF_ERROR(
      CheckCount("stop.strings", in.strings_size(), limits.stop_strings, "--max-stop-strings"));
  for (const std::string& text : in.strings()) {
    if (text.empty()) return Invalid("stop.strings must not hold an empty string");
    SSMD_RETURN_IF_ERROR(CheckBytes("stop.strings: one", static_cast<int64_t>(text.size()),
                                    limits.stop_string_bytes, "--max-stop-string-bytes"));
    out.strings.push_back(text);
  }
  SSMD_RETURN_IF_ERROR(
      CheckCount("stop.token_ids", in.token_ids_size(), limits.stop_tokens, "--max-stop-tokens"));
  SSMD_RETURN_IF_ERROR(CheckTokenIds("stop.token_ids", in.token_ids()));
  out.token_ids.assign(in.token_ids().begin(), in.token_ids().end());
  out.ignore_eos = in.ignore_eos();
  switch (in.history()) {
    case v1::StopParams::HISTORY_UNSPECIFIED:
    case v1::StopParams::HISTORY_TRIM:
      out.history = StopHistory::kTrim;
      return out;
    case v1::StopParams::HISTORY_KEEP:
      out.history = StopHistory::kKeep;
      return out;
    default:
      return Invalid(absl::StrCat("stop.history must be HISTORY_TRIM or HISTORY_KEEP, got ",
                                  static_cast<int>(in.history())));
  }
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

absl::StatusOr<ChatRole> ConvertRole(v1::ChatRole role, int index) {
  switch (role) {
    case v1::CHAT_ROLE_SYSTEM:
      return ChatRole::kSystem;
    case v1::CHAT_ROLE_USER:
      return ChatRole::kUser;
    case v1::CHAT_ROLE_ASSISTANT:
      return ChatRole::kAssistant;
    default:
      return Invalid(absl::StrCat("messages[", index,
                                  "].role must be CHAT_ROLE_SYSTEM, CHAT_ROLE_USER or "
                                  "CHAT_ROLE_ASSISTANT, got ",
                                  static_cast<int>(role)));
  }
}

absl::StatusOr<std::vector<ChatMessage>> ConvertMessages(const v1::ChatMessages& in,
                                                         const RequestLimits& limits) {
  if (in.messages_size() == 0) return Invalid("messages must hold at least one message");
  SSMD_RETURN_IF_ERROR(
      CheckCount("messages", in.messages_size(), limits.messages, "--max-messages"));
  std::vector<ChatMessage> out;
  int64_t bytes = 0;
  for (int i = 0; i < in.messages_size(); ++i) {
    const v1::ChatMessage& message = in.messages(i);
    SSMD_ASSIGN_OR_RETURN(const ChatRole role, ConvertRole(message.role(), i));
    bytes += static_cast<int64_t>(message.content().size());
    out.push_back(ChatMessage{role, message.content()});
  }
  SSMD_RETURN_IF_ERROR(CheckBytes("messages", bytes, limits.prompt_bytes, "--max-prompt-bytes"));
  return out;
}

absl::StatusOr<Prompt> ConvertPrompt(const v1::GenerateRequest& in, const RequestLimits& limits) {
  switch (in.prompt_case()) {
    case v1::GenerateRequest::kText:
      return ConvertText(in.text(), limits);
    case v1::GenerateRequest::kTokenIds:
      return ConvertTokenIds(in.token_ids(), limits.prompt_tokens, "--max-prompt-tokens");
    case v1::GenerateRequest::kMessages:
      return ConvertMessages(in.messages(), limits);
    case v1::GenerateRequest::PROMPT_NOT_SET:
      break;
  }
  if (in.session_id().empty()) {
    return Invalid("a prompt is needed: set text, token_ids or messages");
  }
  return std::vector<int32_t>();
}

}  // namespace

absl::StatusOr<GenerateRequest> FromProto(const v1::GenerateRequest& request,
                                          const RequestLimits& limits) {
  GenerateRequest out;
  SSMD_RETURN_IF_ERROR(CheckName("model", request.model(), limits));
  SSMD_RETURN_IF_ERROR(CheckName("session_id", request.session_id(), limits));
  out.model = request.model();
  out.session_id = request.session_id();
  if (request.has_expected_revision()) {
    if (out.session_id.empty()) return Invalid("expected_revision needs a session_id");
    out.expected_revision = request.expected_revision();
  }
  SSMD_ASSIGN_OR_RETURN(out.prompt, ConvertPrompt(request, limits));
  out.parse_special = request.parse_special();
  SSMD_ASSIGN_OR_RETURN(out.sampling, ConvertSampling(request.sampling(), limits));
  SSMD_ASSIGN_OR_RETURN(out.stop, ConvertStop(request.stop(), limits));
  out.max_tokens = request.has_max_tokens() ? request.max_tokens()
                                            : std::min(kMaxTokensDefault, limits.max_tokens);
  SSMD_RETURN_IF_ERROR(CheckInt("max_tokens", out.max_tokens, 0, limits.max_tokens));
  if (request.has_n()) out.choices = request.n();
  SSMD_RETURN_IF_ERROR(CheckInt("n", out.choices, 1, limits.choices));
  out.echo = request.echo();
  if (request.has_logprobs()) {
    SSMD_RETURN_IF_ERROR(CheckInt("logprobs", request.logprobs(), 0, kTopLogprobsMax));
    out.top_logprobs = request.logprobs();
  }
  out.priority = request.priority();
  SSMD_RETURN_IF_ERROR(CheckInt("priority", out.priority, -100, 100));
  return out;
}

absl::StatusOr<ScoreRequest> FromProto(const v1::ScoreRequest& request,
                                       const RequestLimits& limits) {
  ScoreRequest out;
  SSMD_RETURN_IF_ERROR(CheckName("model", request.model(), limits));
  out.model = request.model();
  switch (request.prompt_case()) {
    case v1::ScoreRequest::kText:
      // A token is at least a byte, so the bytes bound the tokens.
      SSMD_RETURN_IF_ERROR(CheckBytes("text", static_cast<int64_t>(request.text().size()),
                                      limits.score_tokens, "--max-score-tokens"));
      out.prompt = request.text();
      break;
    case v1::ScoreRequest::kTokenIds: {
      SSMD_ASSIGN_OR_RETURN(auto ids, ConvertTokenIds(request.token_ids(), limits.score_tokens,
                                                      "--max-score-tokens"));
      if (ids.size() < 2) {
        return Invalid(absl::StrCat("token_ids must hold at least 2 tokens, got ", ids.size()));
      }
      out.prompt = std::move(ids);
      break;
    }
    case v1::ScoreRequest::PROMPT_NOT_SET:
      return Invalid("a prompt is needed: set text or token_ids");
  }
  out.parse_special = request.parse_special();
  if (request.has_top_logprobs()) out.top_logprobs = request.top_logprobs();
  SSMD_RETURN_IF_ERROR(CheckInt("top_logprobs", out.top_logprobs, 0, kTopLogprobsMax));
  return out;
}

absl::Status Validate(const v1::TokenizeRequest& request, const RequestLimits& limits) {
  SSMD_RETURN_IF_ERROR(CheckName("model", request.model(), limits));
  return CheckBytes("text", static_cast<int64_t>(request.text().size()), limits.prompt_bytes,
                    "--max-prompt-bytes");
}

absl::Status Validate(const v1::DetokenizeRequest& request, const RequestLimits& limits) {
  SSMD_RETURN_IF_ERROR(CheckName("model", request.model(), limits));
  SSMD_RETURN_IF_ERROR(CheckCount("token_ids", request.token_ids_size(), limits.prompt_tokens,
                                  "--max-prompt-tokens"));
  return CheckTokenIds("token_ids", request.token_ids());
}

absl::Status Validate(const v1::CreateSessionRequest& request, const RequestLimits& limits) {
  return CheckName("model", request.model(), limits);
}

absl::Status Validate(const v1::GetSessionRequest& request, const RequestLimits& limits) {
  if (request.session_id().empty()) return Invalid("session_id must be given");
  return CheckName("session_id", request.session_id(), limits);
}

absl::Status Validate(const v1::ListSessionsRequest& request, const RequestLimits& limits) {
  SSMD_RETURN_IF_ERROR(CheckName("model", request.model(), limits));
  SSMD_RETURN_IF_ERROR(CheckInt("page_size", request.page_size(), 0, kPageSizeMax));
  return CheckName("page_token", request.page_token(), limits);
}

absl::Status Validate(const v1::DeleteSessionRequest& request, const RequestLimits& limits) {
  if (request.session_id().empty()) return Invalid("session_id must be given");
  return CheckName("session_id", request.session_id(), limits);
}

absl::Status Validate(const v1::GetModelRequest& request, const RequestLimits& limits) {
  if (request.name().empty()) return Invalid("name must be given");
  return CheckName("name", request.name(), limits);
}

}  // namespace ssmd::server
