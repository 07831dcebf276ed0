#include "engine/text/pretokenizer.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace ssmd {
namespace {

using Words = std::vector<std::string>;
using Stages = std::vector<std::unique_ptr<PreTokenizerStage>>;

Words Split(Stages stages, std::string_view text) {
  MatchBudget budget(text.size());
  Pieces pieces;
  const absl::Status status = PreTokenizer(std::move(stages)).Split(text, &budget, &pieces);
  EXPECT_TRUE(status.ok()) << status;
  Words words;
  size_t begin = 0;
  for (const size_t end : pieces.ends) {
    words.push_back(pieces.bytes.substr(begin, end - begin));
    begin = end;
  }
  EXPECT_EQ(begin, pieces.bytes.size());
  return words;
}

template <typename... T>
Stages List(T... stages) {
  Stages list;
  (list.push_back(std::move(stages)), ...);
  return list;
}

auto Dash(SplitBehavior behavior, bool invert = false) {
  return MakeSplitStage(*MakeLiteralPattern("-"), behavior, invert);
}

TEST(SplitStage, AppliesItsBehavior) {
  struct {
    SplitBehavior behavior;
    bool invert;
    Words words;
  } const kCases[] = {
      {SplitBehavior::kRemoved, false, {"the", "final", "countdown"}},
      {SplitBehavior::kIsolated, false, {"the", "-", "final", "-", "-", "countdown"}},
      {SplitBehavior::kMergedWithPrevious, false, {"the-", "final-", "-", "countdown"}},
      {SplitBehavior::kMergedWithNext, false, {"the", "-final", "-", "-countdown"}},
      {SplitBehavior::kContiguous, false, {"the", "-", "final", "--", "countdown"}},
      {SplitBehavior::kRemoved, true, {"-", "-", "-"}},
      {SplitBehavior::kContiguous, true, {"the", "-", "final", "--", "countdown"}},
  };
  for (const auto& [behavior, invert, words] : kCases) {
    EXPECT_EQ(Split(List(Dash(behavior, invert)), "the-final--countdown"), words)
        << static_cast<int>(behavior);
  }
  EXPECT_EQ(Split(List(Dash(SplitBehavior::kRemoved)), "---"), Words());
}

TEST(DigitsStage, CutsAtNumbersOfAnyScript) {
  EXPECT_EQ(Split(List(MakeDigitsStage(false)), "ab12\u0663c"), (Words{"ab", "12\u0663", "c"}));
  EXPECT_EQ(Split(List(MakeDigitsStage(true)), "ab12\u0663c"),
            (Words{"ab", "1", "2", "\u0663", "c"}));
}

TEST(PunctuationStage, TakesAsciiSymbolsForPunctuation) {
  EXPECT_EQ(Split(List(MakePunctuationStage(SplitBehavior::kContiguous)), "a$!b\u00ac\u3001"),
            (Words{"a", "$!", "b\u00ac", "\u3001"}));
}

TEST(ByteLevelStage, AddsASpaceToEveryPieceThatHasNone) {
  EXPECT_EQ(Split(List(Dash(SplitBehavior::kRemoved), MakeByteLevelStage(true, false)), "a- b-c"),
            (Words{" a", " b", " c"}));
}

TEST(ByteLevelStage, DoesNotCutAcrossPieces) {
  EXPECT_EQ(Split(List(Dash(SplitBehavior::kIsolated), MakeByteLevelStage(false, true)), "a  -b"),
            (Words{"a", "  ", "-", "b"}));
}

// "é" is two letters of the byte alphabet, the second of which is no digit but © (A9).
TEST(ByteAlphabetStage, LetsLaterStagesSeeBytes) {
  EXPECT_EQ(Split(List(MakeByteLevelStage(false, true), MakeByteAlphabetStage(),
                       MakeDigitsStage(true), MakeByteAlphabetInverseStage()),
                  "\u00e9 12\u00b2\u0663"),
            (Words{"\u00e9", " ", "1", "2", "\xC2", "\xB2", "\u0663"}));
}

}  // namespace
}  // namespace ssmd
