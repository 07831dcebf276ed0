#include "engine/schedule/prepare.h"

#include <string>
#include <variant>

#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "engine/text/chat_format.h"

namespace ssmd {
namespace {

absl::StatusOr<std::vector<int32_t>> TextTokens(const ModelInService& model,
                                                const std::string& text, bool parse_special,
                                                int64_t position) {
  if (text.empty()) return std::vector<int32_t>();
  if (model.tokenizer == nullptr) {
    return InvalidField(
        absl::StrFormat("model %s has no tokenizer: send the prompt as token ids", model.name));
  }
  SSMD_ASSIGN_OR_RETURN(std::vector<int32_t> ids,
                        model.tokenizer->Encode(text, EncodeOptions{parse_special}));
  // A tokenizer may know more ids than the model's head has rows.
  SSMD_RETURN_IF_ERROR(CheckTokenIds(model, "prompt", ids));
  if (const auto bos = model.tokenizer->bos_to_add(); bos.has_value() && position == 0) {
    SSMD_RETURN_IF_ERROR(CheckTokenIds(model, "prompt", {*bos}));
    ids.insert(ids.begin(), *bos);
  }
  return ids;
}

}  // namespace

absl::Status InvalidField(std::string_view message) {
  return WithReason(absl::InvalidArgumentError(absl::string_view(message.data(), message.size())),
                    reason::kInvalidField);
}

absl::Status CheckTokenIds(const ModelInService& model, std::string_view field,
                           absl::Span<const int32_t> token_ids) {
  const int vocabulary = model.model->info().vocabulary;
  for (size_t i = 0; i < token_ids.size(); ++i) {
    if (token_ids[i] >= 0 && token_ids[i] < vocabulary) continue;
    return InvalidField(absl::StrFormat("%s: token id %d (number %d) is not in [0, %d)",
                                        std::string(field), token_ids[i], i, vocabulary));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int32_t>> PromptTokens(const ModelInService& model, const Prompt& prompt,
                                                  bool parse_special, int64_t position) {
  if (const auto* ids = std::get_if<std::vector<int32_t>>(&prompt)) {
    SSMD_RETURN_IF_ERROR(CheckTokenIds(model, "prompt", *ids));
    return *ids;
  }
  if (const auto* messages = std::get_if<std::vector<ChatMessage>>(&prompt)) {
    if (messages->empty()) return std::vector<int32_t>();
    return TextTokens(model, RenderPlainChat(*messages, position > 0), parse_special, position);
  }
  return TextTokens(model, std::get<std::string>(prompt), parse_special, position);
}

absl::Status CheckAgainstModel(const ModelInService& model, const GenerateRequest& request) {
  std::vector<int32_t> biased;
  for (const auto& [token_id, bias] : request.sampling.penalties.logit_bias) {
    biased.push_back(token_id);
  }
  SSMD_RETURN_IF_ERROR(CheckTokenIds(model, "logit_bias", biased));
  SSMD_RETURN_IF_ERROR(CheckTokenIds(model, "stop.token_ids", request.stop.token_ids));
  if (model.tokenizer == nullptr && !request.stop.strings.empty()) {
    return InvalidField(absl::StrFormat(
        "model %s has no tokenizer, and so no stop strings: use stop token ids", model.name));
  }
  const int vocabulary = model.model->info().vocabulary;
  if (request.sampling.top_k < 0 || request.sampling.top_k > vocabulary) {
    return InvalidField(
        absl::StrFormat("top_k must be in [0, %d], got %d", vocabulary, request.sampling.top_k));
  }
  const int32_t top_logprobs = request.top_logprobs.value_or(0);
  if (top_logprobs < 0 || top_logprobs > kernels::kMaxTopLogprobs) {
    return InvalidField(absl::StrFormat("logprobs must be in [0, %d], got %d",
                                        kernels::kMaxTopLogprobs, top_logprobs));
  }
  if (request.max_tokens < 0) {
    return InvalidField(
        absl::StrFormat("max_tokens must be at least 0, got %d", request.max_tokens));
  }
  return absl::OkStatus();
}

StopRules MakeStopRules(const ModelInService& model, const StopParams& stop, int32_t max_tokens,
                        bool chat) {
  StopRules rules;
  rules.token_ids = stop.token_ids;
  if (!stop.ignore_eos) {
    const auto& eos = model.model->info().eos_token_ids;
    rules.token_ids.insert(rules.token_ids.end(), eos.begin(), eos.end());
  }
  std::vector<std::string> strings = stop.strings;
  if (chat) {
    for (std::string& added : PlainChatStops()) strings.push_back(std::move(added));
  }
  if (!strings.empty()) rules.strings = MakeStopAutomaton(strings);
  rules.history = stop.history;
  rules.max_tokens = max_tokens;
  return rules;
}

absl::Status CheckHistoryLength(int64_t history, int64_t prompt, int64_t max_tokens,
                                int64_t limit) {
  if (history + prompt + max_tokens <= limit) return absl::OkStatus();
  return WithReason(
      absl::InvalidArgumentError(absl::StrFormat(
          "a history may have at most %d tokens: there are %d, the prompt adds %d and max_tokens "
          "%d",
          limit, history, prompt, max_tokens)),
      reason::kHistoryTooLong);
}

}  // namespace ssmd
