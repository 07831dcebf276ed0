// The patterns that a Split pre-tokenizer cuts text with: a literal, the GPT-2 pattern, or another
// regular expression, matched as Hugging Face tokenizers (Oniguruma) would match it.
//
// Immutable and thread-safe. Regular expressions are run by PCRE2 under a budget of work that is
// linear in the text, so that no text, whatever the pattern, occupies a thread for long.
#ifndef SSMD_ENGINE_TEXT_SPLIT_PATTERN_H_
#define SSMD_ENGINE_TEXT_SPLIT_PATTERN_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ssmd {

// A stretch of a text, ending at byte `end`; it begins where the one before it ends.
struct Stretch {
  size_t end = 0;
  bool matched = false;
};

// What regular expressions may still do for one text, in PCRE2's match-limit units.
class MatchBudget {
 public:
  explicit MatchBudget(size_t text_bytes) : left_(kBase + kPerByte * text_bytes) {}

  uint64_t left() const { return left_; }
  void Spend(uint64_t units) { left_ -= units < left_ ? units : left_; }

 private:
  static constexpr uint64_t kBase = uint64_t{1} << 20;
  static constexpr uint64_t kPerByte = 64;
  uint64_t left_;
};

class SplitPattern {
 public:
  virtual ~SplitPattern() = default;

  // Appends stretches that cover `text`, in order; an empty match is an empty stretch.
  // INVALID_ARGUMENT when the budget is spent. REQUIRES: text is UTF-8 and not empty.
  virtual absl::Status Find(std::string_view text, MatchBudget* budget,
                            std::vector<Stretch>* stretches) const = 0;
};

absl::StatusOr<std::unique_ptr<SplitPattern>> MakeLiteralPattern(std::string_view literal);
// INVALID_ARGUMENT names what in the expression is malformed or not supported.
absl::StatusOr<std::unique_ptr<SplitPattern>> MakeRegexPattern(std::string_view expression);

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_SPLIT_PATTERN_H_
