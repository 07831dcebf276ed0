// The text of one choice as its tokens are sampled: finds stop strings in the tokens' bytes and
// lets out whole characters that can belong to none.
//
// One a choice; step thread. What is held back is bounded by the longest stop string.
#ifndef SSMD_ENGINE_SCHEDULE_ANSWER_TEXT_H_
#define SSMD_ENGINE_SCHEDULE_ANSWER_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/sample/stop_matcher.h"
#include "engine/state/history.h"
#include "engine/text/detokenizer.h"
#include "engine/text/tokenizer.h"

namespace ssmd {

// The bytes that a token adds to a text: none for special tokens.
std::string_view ShownBytes(const Tokenizer& tokenizer, int32_t token_id);

// What the text of the first `length` tokens of a history ends with that is no whole character yet.
std::string TextRemainder(const Tokenizer& tokenizer, const History& history, int64_t length);

// Token ids that stand for `bytes`, which may end or begin within a character.
std::vector<int32_t> TokensOfBytes(const Tokenizer& tokenizer, std::string_view bytes);

class AnswerText {
 public:
  // `tokenizer` null: there is no text. `stops` null: there are no stop strings.
  AnswerText(const Tokenizer* tokenizer, const std::shared_ptr<const StopAutomaton>& stops);

  // `history` has seen the bytes before the answer. REQUIRES: no token was pushed.
  void StartAfter(Detokenizer history) { detokenizer_ = std::move(history); }

  // Takes the next sampled token. True when it completed a stop string; nothing may follow then.
  bool Push(int32_t token_id);
  // The text that was let out since the last call.
  std::string TakeText();

  // The sampled token (by number) in which a stop string may have begun.
  std::optional<size_t> possible_stop_token() const;

  // After a match: the stop string, the token that holds its first byte, and that token's bytes
  // before it.
  const std::string& matched() const { return matcher_->matched(); }
  size_t stop_token() const;
  std::string bytes_before_stop() const;

  // The answer is over. Without a match, what was held back is text. `more_may_follow`: an
  // incomplete character stays with the history; otherwise it is shown as U+FFFD.
  void Finish(bool more_may_follow);
  // The history keeps the stop string (and what follows it in its token) though it is not shown.
  void KeepStopInHistory();
  // The bytes at the end of history that are no whole character.
  std::string remainder() const { return std::string(detokenizer_.remainder()); }

 private:
  struct Piece {  // a token that is not known to be free of stop strings
    int32_t token_id;
    uint64_t begin, end;
  };
  void LetOut(uint64_t end);

  const Tokenizer* tokenizer_;
  Detokenizer detokenizer_;
  std::optional<StopMatcher> matcher_;
  bool stopped_ = false;
  std::string text_;          // let out and not taken yet
  std::string held_;          // bytes from let_out_ on
  uint64_t let_out_ = 0;      // bytes of the answer given to the detokenizer
  uint64_t length_ = 0;       // bytes of the answer
  size_t pushed_ = 0;         // tokens
  std::deque<Piece> pieces_;  // the last pieces_.size() of them
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_ANSWER_TEXT_H_
