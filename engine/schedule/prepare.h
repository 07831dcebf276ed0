// What a caller's thread works out of a request before it is posted: token ids from prompts, stop
// rules, and the checks that need the model. Pure functions of the request and the (constant)
// model.
#ifndef SSMD_ENGINE_SCHEDULE_PREPARE_H_
#define SSMD_ENGINE_SCHEDULE_PREPARE_H_

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/errors.h"
#include "engine/schedule/choice.h"
#include "engine/schedule/model_in_service.h"
#include "engine/schedule/request.h"

namespace ssmd {

// New tokens of a turn: what they are may depend on whether there is a history before them (BOS,
// and how a chat goes on), which a turn that waits for another one of its session does not know
// yet. A chat template may refuse the one and take the other.
struct PromptTokens {
  std::vector<int32_t> at_start;
  std::vector<int32_t> later;  // only where a session was said to be there
  absl::Status start_refusal;
  absl::Status later_refusal;

  const std::vector<int32_t>& after(int64_t position) const {
    return position == 0 ? at_start : later;
  }
  absl::Status CheckAfter(int64_t position) const {
    return UnsharedCopy(position == 0 ? start_refusal : later_refusal);
  }
  size_t longest() const { return std::max(at_start.size(), later.size()); }
};
// A text at the start gets the BOS that its tokenizer asks for; a chat as its format has it.
// Nothing becomes no tokens, BOS or not.
absl::StatusOr<PromptTokens> ReadPrompt(const ModelInService& model, const Prompt& prompt,
                                        bool parse_special, bool on_session);

// FAILED_PRECONDITION (reason MODEL_KIND), saying which call to use, for a model of the other kind.
absl::Status CheckIsLanguageModel(const ModelInService& model);
absl::Status CheckIsMemory(const ModelInService& model);

// The tokens of samples. INVALID_ARGUMENT where they are none, no whole frames, or names the first
// that is not finite.
absl::StatusOr<std::vector<int32_t>> ReadSamples(const ModelInService& model,
                                                 absl::Span<const float> samples);
// FAILED_PRECONDITION where a history does not end with a whole frame, which it may after a rewind.
absl::Status CheckWholeFrames(const ModelInService& model, int64_t position);

// INVALID_ARGUMENT, naming `field` and the first id that is not in the vocabulary.
absl::Status CheckTokenIds(const ModelInService& model, std::string_view field,
                           absl::Span<const int32_t> token_ids);
// What of a request depends on the model, prompts apart.
absl::Status CheckAgainstModel(const ModelInService& model, const GenerateRequest& request);

// `chat`: the prompt is a chat, and what ends an answer in the model's format is added.
StopRules MakeStopRules(const ModelInService& model, const StopParams& stop, int32_t max_tokens,
                        bool chat);

// The history after `history` tokens and `more` new ones must not be longer than `limit`.
absl::Status CheckHistoryLength(int64_t history, int64_t prompt, int64_t max_tokens, int64_t limit);

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_PREPARE_H_
