// One answer of a generation: the tokens sampled so far, their text, when it ends, and what of it
// becomes history.
//
// Step thread. A choice knows nothing of events and sessions; GenerateTurn does.
#ifndef SSMD_ENGINE_SCHEDULE_CHOICE_H_
#define SSMD_ENGINE_SCHEDULE_CHOICE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/sample/stop_matcher.h"
#include "engine/schedule/answer_text.h"
#include "engine/schedule/lane.h"
#include "engine/schedule/request.h"
#include "engine/text/tokenizer.h"

namespace ssmd {

// What ends the choices of a request; shared by them.
struct StopRules {
  std::vector<int32_t> token_ids;                // the model's EOS among them, unless ignored
  std::shared_ptr<const StopAutomaton> strings;  // null: none
  StopHistory history = StopHistory::kTrim;
  int32_t max_tokens = 0;

  // The state before a token may be wanted again.
  bool may_trim() const { return strings != nullptr && history == StopHistory::kTrim; }
};

class Choice {
 public:
  Choice(int index, const StopRules* rules, const Tokenizer* tokenizer)
      : index_(index), rules_(rules), tokenizer_(tokenizer), text_(tokenizer, rules->strings) {}

  // Takes the token that was sampled. True when it is part of the answer (a stop token is not).
  bool Accept(int32_t token_id);
  // Ends an answer of which nothing is to be sampled; the last `pending` tokens of the prompt were
  // not fed.
  void EndEmpty(int64_t pending);
  bool ended() const { return ended_; }
  // After the end: lets out the text that was held back. See AnswerText.
  void FinishText(bool more_may_follow);
  // Ends an answer early: history holds its first `tokens` tokens, which are what was sent, and the
  // bytes after `before` that are no whole character yet stay with it.
  void CutTo(size_t tokens, Detokenizer before);

  int index() const { return index_; }
  AnswerText& text() { return text_; }
  const std::vector<int32_t>& sampled() const { return sampled_; }
  int64_t generated() const { return generated_; }  // stop token included

  // What was streamed, for a retry that gets it again.
  void NoteSent(const DeltaEvent& delta) {
    sent_text_ += delta.text;
    sent_ += delta.token_ids.size();
  }
  const std::string& sent_text() const { return sent_text_; }
  absl::Span<const int32_t> sent_ids() const { return absl::MakeConstSpan(sampled_).first(sent_); }

  // After the end.
  FinishReason reason() const { return reason_; }
  const std::string& stop_reason() const { return stop_reason_; }
  // The history holds sampled()[0, kept) and then retokenised(); the last pending() tokens of all
  // that (and of the prompt, when nothing was sampled) are not to be consumed by the state.
  size_t kept() const { return kept_; }
  const std::vector<int32_t>& retokenised() const { return retokenised_; }
  int64_t pending() const { return pending_; }
  std::string text_remainder() const { return remainder_.value_or(text_.remainder()); }
  std::vector<int32_t> HistoryTokens() const;

  Lane lane;
  // Tokens being fed again, so that the state is what the history says. `lane.feed` points here.
  std::vector<int32_t> replay;
  int64_t recomputed = 0;
  bool settled = false;  // ended, and the state in the lane is the one to commit
  TimePoint last_token_at{};

 private:
  void End(FinishReason reason, std::string stop_reason, size_t kept, int64_t pending);
  void EndAtStopString();
  std::string NameOf(int32_t token_id) const;

  const int index_;
  const StopRules* rules_;
  const Tokenizer* tokenizer_;
  AnswerText text_;
  std::vector<int32_t> sampled_;
  int64_t generated_ = 0;
  bool ended_ = false;
  FinishReason reason_ = FinishReason::kLength;
  std::string stop_reason_;
  size_t kept_ = 0;
  std::vector<int32_t> retokenised_;
  int64_t pending_ = 0;
  std::optional<std::string> remainder_;  // of an answer that was cut
  std::string sent_text_;
  size_t sent_ = 0;  // sampled tokens
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_CHOICE_H_
