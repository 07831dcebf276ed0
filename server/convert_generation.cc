// GenerationService's requests: protobuf to engine, checked field by field. See convert.h.
#include <algorithm>
#include <utility>

#include "server/convert.h"
#include "server/convert_checks.h"
#include "server/convert_enums.h"

namespace ssmd::server {
namespace {

constexpr int32_t kPriorityMax = 100;

constexpr std::pair<v1::StopParams::History, StopHistory> kHistories[] = {
    {v1::StopParams::HISTORY_UNSPECIFIED, StopHistory::kTrim},
    {v1::StopParams::HISTORY_TRIM, StopHistory::kTrim},
    {v1::StopParams::HISTORY_KEEP, StopHistory::kKeep}};
constexpr std::pair<v1::Commit, CommitMode> kCommits[] = {
    {v1::COMMIT_UNSPECIFIED, CommitMode::kOnComplete},
    {v1::COMMIT_ON_COMPLETE, CommitMode::kOnComplete},
    {v1::COMMIT_PARTIAL, CommitMode::kPartial}};

absl::StatusOr<SamplingParams> ConvertSampling(const v1::SamplingParams& in,
                                               const RequestLimits& limits) {
  SamplingParams out;
  if (in.has_temperature()) out.temperature = in.temperature();
  SSMD_RETURN_IF_ERROR(CheckFloat("temperature", out.temperature, 0, 10));
  if (in.has_top_k()) out.top_k = in.top_k();
  if (out.top_k < 0) return InvalidField(absl::StrCat("top_k must be at least 0, got ", out.top_k));
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
    if (id < 0) return InvalidField(absl::StrCat("logit_bias keys must not be negative, got ", id));
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
    if (text.empty()) return InvalidField("stop.strings must not hold an empty string");
    SSMD_RETURN_IF_ERROR(CheckBytes("stop.strings: one", static_cast<int64_t>(text.size()),
                                    limits.stop_string_bytes, "--max-stop-string-bytes"));
    out.strings.push_back(text);
  }
  SSMD_RETURN_IF_ERROR(
      CheckCount("stop.token_ids", in.token_ids_size(), limits.stop_tokens, "--max-stop-tokens"));
  SSMD_RETURN_IF_ERROR(CheckTokenIds("stop.token_ids", in.token_ids()));
  out.token_ids.assign(in.token_ids().begin(), in.token_ids().end());
  out.ignore_eos = in.ignore_eos();
  SSMD_ASSIGN_OR_RETURN(
      out.history,
      ConvertEnum(kHistories, in.history(), "stop.history must be HISTORY_TRIM or HISTORY_KEEP"));
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
    return InvalidField("a prompt is needed: set text, token_ids or messages");
  }
  return std::vector<int32_t>();
}

absl::StatusOr<RequestKey> ConvertKey(const v1::GenerateRequest& request) {
  if (request.request_id().empty()) return RequestKey();
  if (request.session_id().empty()) return InvalidField("request_id needs a session_id");
  v1::GenerateRequest body = request;
  body.clear_request_id();
  return ConvertRequestKey(request.request_id(), body);
}

// How the turn is put behind others, and what it leaves of its session.
absl::Status ConvertTurn(const v1::GenerateRequest& request, const RequestLimits& limits,
                         GenerateRequest* out) {
  SSMD_ASSIGN_OR_RETURN(out->key, ConvertKey(request));
  SSMD_ASSIGN_OR_RETURN(out->when_busy, FromWire(request.when_busy()));
  SSMD_ASSIGN_OR_RETURN(out->commit,
                        ConvertEnum(kCommits, request.commit(),
                                    "commit must be COMMIT_ON_COMPLETE or COMMIT_PARTIAL"));
  SSMD_ASSIGN_OR_RETURN(out->durability, FromWire(request.durability(), limits.durability));
  if (out->commit == CommitMode::kPartial && out->session_id.empty()) {
    return InvalidField("COMMIT_PARTIAL needs a session_id");
  }
  if (out->commit == CommitMode::kPartial && out->choices != 1) {
    return InvalidField(absl::StrCat("COMMIT_PARTIAL needs n = 1, got ", out->choices));
  }
  SSMD_RETURN_IF_ERROR(CheckInt("priority", request.priority(), -kPriorityMax, kPriorityMax));
  out->priority = request.priority() < 0   ? Priority::kLow
                  : request.priority() > 0 ? Priority::kHigh
                                           : Priority::kNormal;
  return absl::OkStatus();
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
    if (out.session_id.empty()) return InvalidField("expected_revision needs a session_id");
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
  SSMD_RETURN_IF_ERROR(ConvertTurn(request, limits, &out));
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
        return InvalidField(
            absl::StrCat("token_ids must hold at least 2 tokens, got ", ids.size()));
      }
      out.prompt = std::move(ids);
      break;
    }
    case v1::ScoreRequest::PROMPT_NOT_SET:
      return InvalidField("a prompt is needed: set text or token_ids");
  }
  out.parse_special = request.parse_special();
  if (request.has_top_logprobs()) out.top_logprobs = request.top_logprobs();
  SSMD_RETURN_IF_ERROR(CheckInt("top_logprobs", out.top_logprobs, 0, kTopLogprobsMax));
  return out;
}

absl::StatusOr<EncodeRequest> FromProto(const v1::EncodeRequest& request,
                                        const RequestLimits& limits) {
  EncodeRequest out;
  SSMD_RETURN_IF_ERROR(CheckName("model", request.model(), limits));
  out.model = request.model();
  switch (request.prompt_case()) {
    case v1::EncodeRequest::kText:
      SSMD_RETURN_IF_ERROR(CheckBytes("text", static_cast<int64_t>(request.text().size()),
                                      limits.prompt_bytes, "--max-prompt-bytes"));
      out.prompt = request.text();
      break;
    case v1::EncodeRequest::kTokenIds: {
      SSMD_ASSIGN_OR_RETURN(out.prompt, ConvertTokenIds(request.token_ids(), limits.prompt_tokens,
                                                        "--max-prompt-tokens"));
      break;
    }
    case v1::EncodeRequest::PROMPT_NOT_SET:
      return InvalidField("a prompt is needed: set text or token_ids");
  }
  out.parse_special = request.parse_special();
  out.normalize = request.normalize();
  switch (request.pooling()) {
    case v1::POOLING_UNSPECIFIED:
    case v1::POOLING_MEAN:
      out.pooling = Pooling::kMean;
      return out;
    case v1::POOLING_LAST:
      out.pooling = Pooling::kLast;
      return out;
    case v1::POOLING_MAX:
      out.pooling = Pooling::kMax;
      return out;
    default:
      return InvalidField(absl::StrCat(
          "pooling must be POOLING_MEAN, POOLING_LAST or POOLING_MAX, got ", request.pooling()));
  }
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

}  // namespace ssmd::server
