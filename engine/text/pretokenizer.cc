#include "engine/text/pretokenizer.h"

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/text/byte_alphabet.h"
#include "engine/text/gpt2_pattern.h"
#include "engine/text/unicode.h"
#include "engine/text/utf8.h"

namespace ssmd {
namespace {

// --- Stages that cut where characters or a pattern match -----------------------------------------

// A stretch of a piece after its behaviour was applied.
struct Cut {
  size_t begin = 0;
  size_t end = 0;
  bool removed = false;
};

// MergedWithPrevious, and (on the reversed list) MergedWithNext: a match joins the cut before it,
// unless that ends in a match.
template <typename Join>
void MergeMatches(const std::vector<Stretch>& stretches, bool reversed, Join join,
                  std::vector<Cut>* cuts) {
  bool previous = false;
  for (size_t k = 0; k < stretches.size(); ++k) {
    const size_t i = reversed ? stretches.size() - 1 - k : k;
    const Cut cut{i == 0 ? 0 : stretches[i - 1].end, stretches[i].end, false};
    if (stretches[i].matched && !previous && !cuts->empty()) {
      join(cut, &cuts->back());
    } else {
      cuts->push_back(cut);
    }
    previous = stretches[i].matched;
  }
  if (reversed) std::reverse(cuts->begin(), cuts->end());
}

void JoinContiguous(const std::vector<Stretch>& stretches, std::vector<Cut>* cuts) {
  bool previous = false;
  size_t begin = 0;
  for (const auto& [end, matched] : stretches) {
    if (matched == previous && !cuts->empty()) {
      cuts->back().end = end;
    } else {
      cuts->push_back({begin, end, false});
    }
    previous = matched;
    begin = end;
  }
}

void CutBy(SplitBehavior behavior, const std::vector<Stretch>& stretches, std::vector<Cut>* cuts) {
  size_t begin = 0;
  switch (behavior) {
    case SplitBehavior::kRemoved:
    case SplitBehavior::kIsolated:
      for (const auto& [end, matched] : stretches) {
        cuts->push_back({begin, end, matched && behavior == SplitBehavior::kRemoved});
        begin = end;
      }
      return;
    case SplitBehavior::kMergedWithPrevious:
      return MergeMatches(
          stretches, false, [](const Cut& cut, Cut* last) { last->end = cut.end; }, cuts);
    case SplitBehavior::kMergedWithNext:
      return MergeMatches(
          stretches, true, [](const Cut& cut, Cut* last) { last->begin = cut.begin; }, cuts);
    case SplitBehavior::kContiguous:
      return JoinContiguous(stretches, cuts);
  }
}

class SplitStage final : public PreTokenizerStage {
 public:
  SplitStage(std::unique_ptr<SplitPattern> pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  absl::Status Apply(MatchBudget* budget, Pieces* pieces) const override {
    Pieces result;
    result.bytes.reserve(pieces->bytes.size());
    std::vector<Stretch> stretches;
    std::vector<Cut> cuts;
    size_t begin = 0;
    for (const size_t end : pieces->ends) {
      const auto piece = std::string_view(pieces->bytes).substr(begin, end - begin);
      stretches.clear();
      cuts.clear();
      SSMD_RETURN_IF_ERROR(pattern_->Find(piece, budget, &stretches));
      if (invert_) {
        for (Stretch& stretch : stretches) stretch.matched = !stretch.matched;
      }
      CutBy(behavior_, stretches, &cuts);
      for (const Cut& cut : cuts) {
        if (cut.removed || cut.begin == cut.end) continue;
        result.bytes.append(piece.substr(cut.begin, cut.end - cut.begin));
        result.ends.push_back(result.bytes.size());
      }
      begin = end;
    }
    *pieces = std::move(result);
    return absl::OkStatus();
  }

 private:
  std::unique_ptr<SplitPattern> pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

// Matches single characters of a class.
class ClassPattern final : public SplitPattern {
 public:
  explicit ClassPattern(uint8_t classes) : classes_(classes) {}

  absl::Status Find(std::string_view text, MatchBudget*,
                    std::vector<Stretch>* stretches) const override {
    size_t covered = 0;
    for (size_t at = 0; at < text.size();) {
      const CodePoint next = DecodeUtf8(text, at);
      if ((ClassesOf(next.value) & classes_) != 0) {
        if (at > covered) stretches->push_back({at, false});
        covered = at + next.bytes;
        stretches->push_back({covered, true});
      }
      at += next.bytes;
    }
    if (covered < text.size()) stretches->push_back({text.size(), false});
    return absl::OkStatus();
  }

 private:
  uint8_t classes_;
};

// --- ByteLevel -----------------------------------------------------------------------------------

class ByteLevelStage final : public PreTokenizerStage {
 public:
  ByteLevelStage(bool add_prefix_space, bool use_regex)
      : add_prefix_space_(add_prefix_space), use_regex_(use_regex) {}

  absl::Status Apply(MatchBudget*, Pieces* pieces) const override {
    if (add_prefix_space_) AddPrefixSpaces(pieces);
    if (use_regex_) Cut(pieces);
    return absl::OkStatus();
  }

 private:
  static void AddPrefixSpaces(Pieces* pieces) {
    Pieces result;
    result.bytes.reserve(pieces->bytes.size() + pieces->ends.size());
    size_t begin = 0;
    for (const size_t end : pieces->ends) {
      if (pieces->bytes[begin] != ' ') result.bytes.push_back(' ');
      result.bytes.append(pieces->bytes, begin, end - begin);
      result.ends.push_back(result.bytes.size());
      begin = end;
    }
    *pieces = std::move(result);
  }

  static void Cut(Pieces* pieces) {
    std::vector<size_t> ends;
    ends.reserve(pieces->bytes.size() / 4 + pieces->ends.size());
    size_t at = 0;
    for (const size_t end : pieces->ends) {
      const auto up_to_end = std::string_view(pieces->bytes).substr(0, end);
      while (at < end) {
        at = Gpt2MatchEnd(up_to_end, at);
        ends.push_back(at);
      }
    }
    pieces->ends = std::move(ends);
  }

  bool add_prefix_space_;
  bool use_regex_;
};

class ByteAlphabetStage final : public PreTokenizerStage {
 public:
  absl::Status Apply(MatchBudget*, Pieces* pieces) const override {
    std::string written;
    written.reserve(2 * pieces->bytes.size());
    size_t at = 0;
    for (size_t& end : pieces->ends) {
      for (; at < end; ++at) {
        AppendUtf8(ByteToAlphabet(static_cast<unsigned char>(pieces->bytes[at])), &written);
      }
      end = written.size();
    }
    pieces->bytes = std::move(written);
    return absl::OkStatus();
  }
};

class ByteAlphabetInverseStage final : public PreTokenizerStage {
 public:
  absl::Status Apply(MatchBudget*, Pieces* pieces) const override {
    std::string bytes;
    bytes.reserve(pieces->bytes.size());
    size_t at = 0;
    for (size_t& end : pieces->ends) {
      while (at < end) {
        const CodePoint next = DecodeUtf8(pieces->bytes, at);
        bytes.push_back(static_cast<char>(*AlphabetToByte(next.value)));
        at += next.bytes;
      }
      end = bytes.size();
    }
    pieces->bytes = std::move(bytes);
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<PreTokenizerStage> MakeByteLevelStage(bool add_prefix_space, bool use_regex) {
  return std::make_unique<ByteLevelStage>(add_prefix_space, use_regex);
}

std::unique_ptr<PreTokenizerStage> MakeSplitStage(std::unique_ptr<SplitPattern> pattern,
                                                  SplitBehavior behavior, bool invert) {
  return std::make_unique<SplitStage>(std::move(pattern), behavior, invert);
}

std::unique_ptr<PreTokenizerStage> MakeDigitsStage(bool individual_digits) {
  return MakeSplitStage(std::make_unique<ClassPattern>(kNumeric),
                        individual_digits ? SplitBehavior::kIsolated : SplitBehavior::kContiguous,
                        /*invert=*/false);
}

std::unique_ptr<PreTokenizerStage> MakePunctuationStage(SplitBehavior behavior) {
  return MakeSplitStage(std::make_unique<ClassPattern>(kPunctuation), behavior, /*invert=*/false);
}

std::unique_ptr<PreTokenizerStage> MakeByteAlphabetStage() {
  return std::make_unique<ByteAlphabetStage>();
}

std::unique_ptr<PreTokenizerStage> MakeByteAlphabetInverseStage() {
  return std::make_unique<ByteAlphabetInverseStage>();
}

absl::Status PreTokenizer::Split(std::string_view text, MatchBudget* budget, Pieces* pieces) const {
  pieces->bytes.assign(text);
  pieces->ends.assign(1, text.size());
  for (const auto& stage : stages_) SSMD_RETURN_IF_ERROR(stage->Apply(budget, pieces));
  return absl::OkStatus();
}

}  // namespace ssmd
