#include "engine/schedule/prepare.h"

#include <ctime>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/base/fault_point.h"
#include "engine/base/status_macros.h"

namespace ssmd {
namespace {

FaultPoint prompt_memory("memory.prompt", FaultPoint::Kind::kAllocation);

absl::Status NoTokenizer(const ModelInService& model) {
  return InvalidField(
      absl::StrFormat("model %s has no tokenizer: send the prompt as token ids", model.name));
}

absl::StatusOr<std::vector<int32_t>> TextTokens(const ModelInService& model,
                                                const std::string& text, bool parse_special) {
  if (text.empty()) return std::vector<int32_t>();
  if (model.tokenizer == nullptr) return NoTokenizer(model);
  SSMD_ASSIGN_OR_RETURN(std::vector<int32_t> ids,
                        model.tokenizer->Encode(text, EncodeOptions{parse_special}));
  // A tokenizer may know more ids than the model's head has rows.
  SSMD_RETURN_IF_ERROR(CheckTokenIds(model, "prompt", ids));
  return ids;
}

absl::StatusOr<std::vector<int32_t>> WithBos(const ModelInService& model,
                                             std::vector<int32_t> ids) {
  if (ids.empty() || !model.tokenizer->bos_to_add().has_value()) return ids;
  const int32_t bos = *model.tokenizer->bos_to_add();
  SSMD_RETURN_IF_ERROR(CheckTokenIds(model, "prompt", {bos}));
  ids.insert(ids.begin(), bos);
  return ids;
}

// What the format makes of a chat, or why it cannot.
absl::Status TakeChat(const ModelInService& model, bool adds_bos,
                      absl::StatusOr<std::vector<int32_t>> made, std::vector<int32_t>* ids) {
  if (!made.ok()) {
    return InvalidField(absl::StrFormat("messages cannot be given to model %s: %s", model.name,
                                        std::string(made.status().message())));
  }
  SSMD_RETURN_IF_ERROR(CheckTokenIds(model, "prompt", *made));
  if (adds_bos) {
    SSMD_ASSIGN_OR_RETURN(*ids, WithBos(model, *std::move(made)));
  } else {
    *ids = *std::move(made);
  }
  return absl::OkStatus();
}

absl::StatusOr<PromptTokens> ReadChat(const ModelInService& model, const ChatPrompt& prompt,
                                      bool on_session) {
  PromptTokens tokens;
  if (prompt.messages.empty()) return tokens;
  if (model.tokenizer == nullptr) return NoTokenizer(model);
  if (model.chat == nullptr) {
    return InvalidField(absl::StrFormat("model %s takes no chats: %s", model.name, model.no_chat));
  }
  const std::time_t now = std::time(nullptr);
  tokens.start_refusal =
      TakeChat(model, model.chat->adds_bos(), model.chat->Tokens(prompt, now), &tokens.at_start);
  if (!on_session) {
    SSMD_RETURN_IF_ERROR(tokens.start_refusal);
    return tokens;
  }
  tokens.later_refusal = TakeChat(model, /*adds_bos=*/false,
                                  model.chat->TokensBehindAnswer(prompt, now), &tokens.later);
  if (!tokens.start_refusal.ok() && !tokens.later_refusal.ok()) return tokens.start_refusal;
  return tokens;
}

absl::StatusOr<PromptTokens> ReadPlain(const ModelInService& model, const Prompt& prompt,
                                       bool parse_special, bool on_session) {
  PromptTokens tokens;
  if (const auto* ids = std::get_if<std::vector<int32_t>>(&prompt)) {
    SSMD_RETURN_IF_ERROR(CheckTokenIds(model, "prompt", *ids));
    tokens.at_start = *ids;
  } else {
    const std::string& text = std::get<std::string>(prompt);
    SSMD_ASSIGN_OR_RETURN(tokens.at_start, TextTokens(model, text, parse_special));
  }
  if (on_session) tokens.later = tokens.at_start;
  if (std::holds_alternative<std::string>(prompt)) {
    SSMD_ASSIGN_OR_RETURN(tokens.at_start, WithBos(model, std::move(tokens.at_start)));
  }
  return tokens;
}

}  // namespace

absl::Status CheckIsLanguageModel(const ModelInService& model) {
  if (model.memory == nullptr) return absl::OkStatus();
  return WithReason(absl::FailedPreconditionError(absl::StrFormat(
                        "model %s is a memory of signals, which has no text and no tokens: use "
                        "MemoryService.Memory, or `ssmctl memory`",
                        model.name)),
                    reason::kModelKind);
}

absl::Status CheckIsMemory(const ModelInService& model) {
  if (model.memory != nullptr) return absl::OkStatus();
  return WithReason(
      absl::FailedPreconditionError(absl::StrFormat("model %s is a language model and no memory of "
                                                    "signals: use GenerationService.Generate, or "
                                                    "`ssmctl generate`",
                                                    model.name)),
      reason::kModelKind);
}

absl::StatusOr<std::vector<int32_t>> ReadSamples(const ModelInService& model,
                                                 absl::Span<const float> samples) {
  const auto channels = static_cast<size_t>(model.memory->config().channels);
  if (samples.empty()) return InvalidField("samples must not be empty");
  if (samples.size() % channels != 0) {
    return InvalidField(
        absl::StrFormat("samples must be whole frames, a sample of each of the %d channels, got %d",
                        channels, samples.size()));
  }
  std::vector<int32_t> tokens;
  tokens.reserve(samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    const std::optional<int32_t> token = kernels::TokenOfSample(samples[i]);
    if (!token.has_value()) {
      return InvalidField(
          absl::StrFormat("samples must be finite numbers, got %g (number %d)", samples[i], i));
    }
    tokens.push_back(*token);
  }
  return tokens;
}

absl::Status CheckWholeFrames(const ModelInService& model, int64_t position) {
  const int64_t channels = model.memory->config().channels;
  if (position % channels == 0) return absl::OkStatus();
  return WithReason(
      absl::FailedPreconditionError(absl::StrFormat(
          "position %d is in the middle of a frame, no multiple of the %d channels: rewind the "
          "session to one that is",
          position, channels)),
      reason::kPartOfFrame);
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

absl::StatusOr<PromptTokens> ReadPrompt(const ModelInService& model, const Prompt& prompt,
                                        bool parse_special, bool on_session) {
  return UnlessOutOfMemory(prompt_memory, "read the prompt", [&] {
    const auto* chat = std::get_if<ChatPrompt>(&prompt);
    return chat != nullptr ? ReadChat(model, *chat, on_session)
                           : ReadPlain(model, prompt, parse_special, on_session);
  });
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
  if (chat && model.chat != nullptr) {
    const auto& added = model.chat->stop_strings();
    strings.insert(strings.end(), added.begin(), added.end());
    const auto& ids = model.chat->stop_token_ids();
    if (!stop.ignore_eos) rules.token_ids.insert(rules.token_ids.end(), ids.begin(), ids.end());
  }
  if (!strings.empty()) rules.strings = MakeStopAutomaton(strings);
  rules.history = stop.history;
  rules.max_tokens = max_tokens;
  return rules;
}

absl::Status CheckHistoryLength(int64_t history, int64_t prompt, int64_t max_tokens,
                                int64_t limit) {
  if (history + prompt + max_tokens <= limit) return absl::OkStatus();
  // What samples nothing may be samples itself.
  const std::string too_long =
      max_tokens > 0
          ? absl::StrFormat(
                "a history may have at most %d tokens (--max-history-tokens): there are %d, the "
                "prompt adds %d and max_tokens %d",
                limit, history, prompt, max_tokens)
          : absl::StrFormat(
                "a history may have at most %d tokens (--max-history-tokens; of a memory: samples, "
                "of all channels together): there are %d, and this adds %d",
                limit, history, prompt);
  return WithReason(absl::InvalidArgumentError(too_long), reason::kHistoryTooLong);
}

}  // namespace ssmd
