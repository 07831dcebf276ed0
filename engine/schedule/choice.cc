#include "engine/schedule/choice.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace ssmd {

void Choice::End(FinishReason reason, std::string stop_reason, size_t kept, int64_t pending) {
  ended_ = true;
  reason_ = reason;
  stop_reason_ = std::move(stop_reason);
  kept_ = kept;
  pending_ = pending;
}

std::string Choice::NameOf(int32_t token_id) const {
  if (tokenizer_ == nullptr) return absl::StrCat(token_id);
  Detokenizer whole;  // a token may be part of a character
  std::string name = whole.Push(tokenizer_->TokenBytes(token_id));
  name += whole.Flush();
  return name.empty() ? absl::StrCat(token_id) : name;
}

bool Choice::Accept(int32_t token_id) {
  ++generated_;
  const auto& stops = rules_->token_ids;
  if (std::find(stops.begin(), stops.end(), token_id) != stops.end()) {
    // Everything before the stop token was fed to sample it: nothing is pending.
    End(FinishReason::kStop, NameOf(token_id), sampled_.size(), 0);
    return false;
  }
  sampled_.push_back(token_id);
  if (text_.Push(token_id)) {
    EndAtStopString();
  } else if (generated_ == rules_->max_tokens) {
    End(FinishReason::kLength, "", sampled_.size(), 1);
  }
  return true;
}

void Choice::EndAtStopString() {
  if (rules_->history == StopHistory::kKeep) {
    End(FinishReason::kStop, text_.matched(), sampled_.size(), 1);
    return;
  }
  retokenised_ = TokensOfBytes(*tokenizer_, text_.bytes_before_stop());
  End(FinishReason::kStop, text_.matched(), text_.stop_token(),
      static_cast<int64_t>(retokenised_.size()));
}

void Choice::EndEmpty(int64_t pending) { End(FinishReason::kLength, "", 0, pending); }

void Choice::CutTo(size_t tokens, Detokenizer before) {
  End(FinishReason::kPartial, "", tokens, 1);
  retokenised_.clear();
  sent_ = tokens;
  sent_text_.clear();
  if (tokenizer_ != nullptr) {
    for (const int32_t id : sent_ids()) sent_text_ += before.Push(ShownBytes(*tokenizer_, id));
  }
  remainder_ = std::string(before.remainder());
}

void Choice::FinishText(bool more_may_follow) {
  text_.Finish(more_may_follow);
  if (rules_->history == StopHistory::kKeep) text_.KeepStopInHistory();
}

std::vector<int32_t> Choice::HistoryTokens() const {
  std::vector<int32_t> ids(sampled_.begin(), sampled_.begin() + static_cast<std::ptrdiff_t>(kept_));
  ids.insert(ids.end(), retokenised_.begin(), retokenised_.end());
  return ids;
}

}  // namespace ssmd
