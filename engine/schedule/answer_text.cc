#include "engine/schedule/answer_text.h"

#include <algorithm>
#include <utility>

namespace ssmd {
namespace {

// The longest token whose bytes `bytes` begin with: a scan over the vocabulary, for the rare bytes
// that are no UTF-8 and so have no tokenisation. −1 when there is none.
int32_t LongestTokenAt(const Tokenizer& tokenizer, std::string_view bytes) {
  int32_t best = -1;
  size_t best_length = 0;
  for (int32_t id = 0; id < tokenizer.size(); ++id) {
    const std::string_view token = ShownBytes(tokenizer, id);
    if (token.size() > best_length && bytes.substr(0, token.size()) == token) {
      best = id;
      best_length = token.size();
    }
  }
  return best;
}

}  // namespace

std::string_view ShownBytes(const Tokenizer& tokenizer, int32_t token_id) {
  return tokenizer.IsSpecial(token_id) ? std::string_view() : tokenizer.TokenBytes(token_id);
}

std::string TextRemainder(const Tokenizer& tokenizer, const History& history, int64_t length) {
  // No more than 3 bytes can be missing their end; tokens without bytes may lie between them.
  constexpr int64_t kTokens = 64;
  Detokenizer reader;
  for (const LoggedToken token : history.Range(std::max(length - kTokens, int64_t{0}), length)) {
    reader.Push(ShownBytes(tokenizer, token.token_id()));
  }
  return std::string(reader.remainder());
}

std::vector<int32_t> TokensOfBytes(const Tokenizer& tokenizer, std::string_view bytes) {
  if (bytes.empty()) return {};
  if (auto encoded = tokenizer.Encode(bytes, EncodeOptions{}); encoded.ok()) return *encoded;
  std::vector<int32_t> ids;
  while (!bytes.empty()) {
    const int32_t id = LongestTokenAt(tokenizer, bytes);
    if (id >= 0) ids.push_back(id);
    bytes.remove_prefix(id >= 0 ? ShownBytes(tokenizer, id).size() : 1);
  }
  return ids;
}

AnswerText::AnswerText(const Tokenizer* tokenizer,
                       const std::shared_ptr<const StopAutomaton>& stops)
    : tokenizer_(tokenizer) {
  if (stops != nullptr) matcher_.emplace(stops);
}

void AnswerText::LetOut(uint64_t end) {
  const auto count = static_cast<size_t>(end - let_out_);
  text_ += detokenizer_.Push(std::string_view(held_).substr(0, count));
  held_.erase(0, count);
  let_out_ = end;
  while (!pieces_.empty() && pieces_.front().end <= end) pieces_.pop_front();
}

bool AnswerText::Push(int32_t token_id) {
  if (tokenizer_ == nullptr) return false;
  const std::string_view bytes = ShownBytes(*tokenizer_, token_id);
  pieces_.push_back({token_id, length_, length_ + bytes.size()});
  ++pushed_;
  length_ += bytes.size();
  held_.append(bytes);
  if (!matcher_.has_value()) {
    LetOut(length_);
    return false;
  }
  stopped_ = matcher_->Push(bytes);
  LetOut(matcher_->safe_length());
  return stopped_;
}

std::string AnswerText::TakeText() { return std::exchange(text_, std::string()); }

std::optional<size_t> AnswerText::possible_stop_token() const {
  if (held_.empty()) return std::nullopt;
  return stop_token();
}

// Tokens whose bytes were all let out are no longer among the pieces, so that the first of them is
// the one in which what is held back begins.
size_t AnswerText::stop_token() const { return pushed_ - pieces_.size(); }

std::string AnswerText::bytes_before_stop() const {
  const Piece& piece = pieces_.front();
  return std::string(ShownBytes(*tokenizer_, piece.token_id).substr(0, let_out_ - piece.begin));
}

void AnswerText::Finish(bool more_may_follow) {
  if (!stopped_) LetOut(length_);
  if (!more_may_follow) text_ += detokenizer_.Flush();
}

void AnswerText::KeepStopInHistory() {
  detokenizer_.Push(held_);
  held_.clear();
}

}  // namespace ssmd
