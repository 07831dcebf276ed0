// The pre-tokenizer of a byte-level BPE file: a sequence of stages that cut text into the pieces
// which merges do not cross.
//
// Immutable and thread-safe. Stages work as Hugging Face's do, each on the pieces that the one
// before it left.
#ifndef SSMD_ENGINE_TEXT_PRETOKENIZER_H_
#define SSMD_ENGINE_TEXT_PRETOKENIZER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "engine/text/split_pattern.h"

namespace ssmd {

// Adjacent pieces that cover `bytes`; piece i ends at ends[i]. None is empty.
struct Pieces {
  std::string bytes;
  std::vector<size_t> ends;
};

// What becomes of the matches of a stage's pattern.
enum class SplitBehavior : unsigned char {
  kRemoved,
  kIsolated,
  kMergedWithPrevious,
  kMergedWithNext,
  kContiguous,  // adjacent matches are one piece
};

class PreTokenizerStage {
 public:
  virtual ~PreTokenizerStage() = default;
  virtual absl::Status Apply(MatchBudget* budget, Pieces* pieces) const = 0;
};

// ByteLevel's cutting; its rewriting of bytes is MakeByteAlphabetStage().
std::unique_ptr<PreTokenizerStage> MakeByteLevelStage(bool add_prefix_space, bool use_regex);
std::unique_ptr<PreTokenizerStage> MakeSplitStage(std::unique_ptr<SplitPattern> pattern,
                                                  SplitBehavior behavior, bool invert);
std::unique_ptr<PreTokenizerStage> MakeDigitsStage(bool individual_digits);
std::unique_ptr<PreTokenizerStage> MakePunctuationStage(SplitBehavior behavior);
// Writes every byte as its character of the byte alphabet: for stages that follow ByteLevel.
std::unique_ptr<PreTokenizerStage> MakeByteAlphabetStage();
// The inverse. REQUIRES: every character is of the alphabet.
std::unique_ptr<PreTokenizerStage> MakeByteAlphabetInverseStage();

class PreTokenizer {
 public:
  explicit PreTokenizer(std::vector<std::unique_ptr<PreTokenizerStage>> stages)
      : stages_(std::move(stages)) {}

  // Replaces `pieces` by those of `text`. INVALID_ARGUMENT when a pattern takes too much work on
  // it. REQUIRES: text is UTF-8 and not empty.
  absl::Status Split(std::string_view text, MatchBudget* budget, Pieces* pieces) const;

 private:
  std::vector<std::unique_ptr<PreTokenizerStage>> stages_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_PRETOKENIZER_H_
