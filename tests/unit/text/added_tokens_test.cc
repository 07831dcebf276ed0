#include "engine/text/added_tokens.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
namespace ssmd {
namespace {

AddedTokenMatcher Matcher(const std::vector<AddedToken>& tokens) {
  AddedTokenMatcher matcher;
  for (const AddedToken& token : tokens) EXPECT_TRUE(matcher.Add(token.content, token));
  return matcher;
}

// The segments: texts as they are, tokens as <id>.
std::string Split(const AddedTokenMatcher& matcher, std::string_view text,
                  bool parse_special = true) {
  std::vector<AddedTokenMatcher::Segment> segments;
  matcher.Split(text, EncodeOptions{parse_special}, &segments);
  std::string result;
  for (const auto& segment : segments) {
    if (!result.empty()) result += '|';
    if (segment.token_id.has_value()) {
      absl::StrAppend(&result, "<", *segment.token_id, ">");
    } else {
      result += segment.text;
    }
  }
  return result;
}

TEST(AddedTokenMatcher, TakesTheLeftmostThenTheLongest) {
  const auto matcher = Matcher({{.id = 1, .content = "ab"},
                                {.id = 2, .content = "abcd"},
                                {.id = 3, .content = "bc"},
                                {.id = 4, .content = "  "},
                                {.id = 5, .content = "    "}});
  EXPECT_EQ(Split(matcher, ""), "");
  EXPECT_EQ(Split(matcher, "xabcx"), "x|<1>|cx");
  EXPECT_EQ(Split(matcher, "abcdab"), "<2>|<1>");
  EXPECT_EQ(Split(matcher, "bcbc"), "<3>|<3>");
  EXPECT_EQ(Split(matcher, "x       y"), "x|<5>|<4>| y");
}

TEST(AddedTokenMatcher, SpecialTokensAreTextButHideWhatTheyOverlap) {
  const auto matcher =
      Matcher({{.id = 1, .content = "<mask>", .special = true}, {.id = 2, .content = "ask>"}});
  EXPECT_EQ(Split(matcher, "a<mask>ask>"), "a|<1>|<2>");
  EXPECT_EQ(Split(matcher, "a<mask>ask>", /*parse_special=*/false), "a<mask>|<2>");
}

TEST(AddedTokenMatcher, SingleWordsStandAlone) {
  const auto matcher = Matcher({{.id = 1, .content = "word", .single_word = true}});
  EXPECT_EQ(Split(matcher, "word,word word"), "<1>|,|<1>| |<1>");
  EXPECT_EQ(Split(matcher, "sword words w\u00f6rd \u00e9word"), "sword words w\u00f6rd \u00e9word");
  EXPECT_EQ(Split(matcher, "word\u0301 _word"), "word\u0301 _word");
}

TEST(AddedTokenMatcher, StripsWhiteSpaceAround) {
  const auto left = Matcher({{.id = 1, .content = "<l>", .lstrip = true}});
  EXPECT_EQ(Split(left, "a \u3000\n<l> b"), "a|<1>| b");
  EXPECT_EQ(Split(left, "  <l>  <l>"), "<1>|<1>");
  const auto right = Matcher({{.id = 1, .content = "<r>", .rstrip = true}});
  EXPECT_EQ(Split(right, "a <r> \u3000\nb"), "a |<1>|b");
  EXPECT_EQ(Split(right, "<r>  "), "<1>");
}

// As Hugging Face does: the search goes on behind the token itself, not behind what it stripped.
TEST(AddedTokenMatcher, StrippedSpaceCanMatchAgain) {
  const auto matcher =
      Matcher({{.id = 1, .content = "<r>", .rstrip = true}, {.id = 2, .content = "  "}});
  EXPECT_EQ(Split(matcher, "<r>     x"), "<1>|<2>|<2>| x");
}

TEST(AddedTokenMatcher, RefusesASecondTokenOfOnePattern) {
  AddedTokenMatcher matcher;
  EXPECT_TRUE(matcher.Add("x", {.id = 1, .content = "x"}));
  EXPECT_TRUE(matcher.Add("xy", {.id = 2, .content = "xy"}));
  EXPECT_FALSE(matcher.Add("x", {.id = 3, .content = "x"}));
}

TEST(AddedTokenMatcher, SplitsAMegabyteOfSpaces) {
  const auto matcher = Matcher(
      {{.id = 1, .content = " ", .lstrip = true, .rstrip = true}, {.id = 2, .content = "   "}});
  const std::string text(size_t{3} << 18, ' ');
  std::vector<AddedTokenMatcher::Segment> segments;
  matcher.Split(text, {}, &segments);
  EXPECT_EQ(segments.size(), text.size() / 3);
}

}  // namespace
}  // namespace ssmd
