#include "engine/text/split_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/text/gpt2_pattern.h"

namespace ssmd {
namespace {

// The stretches, matches in brackets.
std::string Marked(const SplitPattern& pattern, std::string_view text) {
  MatchBudget budget(text.size());
  std::vector<Stretch> stretches;
  const absl::Status status = pattern.Find(text, &budget, &stretches);
  if (!status.ok()) return status.ToString();
  std::string marked;
  size_t begin = 0;
  for (const auto& [end, matched] : stretches) {
    marked += matched ? "[" : "(";
    marked.append(text.substr(begin, end - begin));
    marked += matched ? "]" : ")";
    begin = end;
  }
  return marked;
}

TEST(RegexPattern, FindsMatchesAsOnigurumaDoes) {
  struct {
    const char* expression;
    const char* text;
    const char* expected;
  } const kCases[] = {
      {"b", "abab", "(a)[b](a)[b]"},
      {"x", "abab", "(abab)"},
      {"a+", "aab", "[aa](b)"},
      {R"(\p{N}{1,3})", "12345", "[123][45]"},
      {"(?=B)", "aBcB", "(a)[](Bc)[](B)"},  // empty matches cut
      {"a*", "aab", "[aa](b)[]"},           // none right behind a match
      {"(?i:'s)", "X'S'\u017F", "(X)['S]['\u017F]"},
      {R"(\s+(?!\S))", "a  b ", "(a)[ ]( b)[ ]"},
      {R"(\p{L}+)", "\U0001E4D0\U00016D40!", "[\U0001E4D0\U00016D40](!)"},  // newer than PCRE2's
      {R"([^\p{L}]+)", "1\U0001E4D0", "[1](\U0001E4D0)"},
      {R"(\s)", "\u180E\u0085", "(\u180E)[\u0085]"},
  };
  for (const auto& [expression, text, expected] : kCases) {
    const auto pattern = MakeRegexPattern(expression);
    ASSERT_TRUE(pattern.ok()) << pattern.status();
    EXPECT_EQ(Marked(**pattern, text), expected) << expression;
  }
}

// The same language, in an order of alternatives that is not recognised.
TEST(RegexPattern, EqualsTheHandWrittenGpt2Pattern) {
  std::string reordered(kGpt2Pattern);
  reordered.replace(0, 5, "'t|'s");
  const auto fast = MakeRegexPattern(kGpt2Pattern);
  const auto general = MakeRegexPattern(reordered);
  ASSERT_TRUE(fast.ok() && general.ok());
  for (const char* text : {"it's  a\n\ntest, isn't 12.5 it?  ", "''s \t\u3000x \u00e9\u0301!"}) {
    EXPECT_EQ(Marked(**fast, text), Marked(**general, text));
  }
}

TEST(RegexPattern, StopsWhereATextTakesTooMuchWork) {
  const auto pattern = MakeRegexPattern("(a|aa)+[bc]");
  ASSERT_TRUE(pattern.ok());
  const std::string text(100, 'a');
  MatchBudget budget(text.size());
  std::vector<Stretch> stretches;
  const absl::Status status = (*pattern)->Find(text, &budget, &stretches);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
}

TEST(RegexPattern, MatchesAMegabyteAtOnce) {
  const auto pattern = MakeRegexPattern(R"(\s*[\r\n]+|\s+(?!\S)|[^x]+y|\p{L}+)");
  ASSERT_TRUE(pattern.ok());
  for (const char letter : {'x', ' ', 'a'}) {
    const std::string text(size_t{1} << 20, letter);
    MatchBudget budget(text.size());
    std::vector<Stretch> stretches;
    ASSERT_TRUE((*pattern)->Find(text, &budget, &stretches).ok()) << letter;
    ASSERT_EQ(stretches.size(), 1u);
    EXPECT_TRUE(stretches[0].matched);
  }
}

TEST(RegexPattern, RefusesWhatDoesNotCompile) {
  for (const char* expression : {"a(b", "*a", "a)", "(?<=a+)b"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(MakeRegexPattern(expression).status())) << expression;
  }
  EXPECT_TRUE(MakeRegexPattern(std::string(16 << 10, 'a')).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(MakeRegexPattern(std::string((16 << 10) + 1, 'a')).status()));
}

TEST(LiteralPattern, FindsTheLiteral) {
  const auto pattern = MakeLiteralPattern("ab");
  ASSERT_TRUE(pattern.ok());
  EXPECT_EQ(Marked(**pattern, "abxabab"), "[ab](x)[ab][ab]");
  EXPECT_EQ(Marked(**pattern, "ba"), "(ba)");
  EXPECT_TRUE(absl::IsInvalidArgument(MakeLiteralPattern("").status()));
}

}  // namespace
}  // namespace ssmd
