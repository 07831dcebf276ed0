#include "clients/ssmctl/text.h"

#include <gtest/gtest.h>

namespace ssmd::ctl {
namespace {

TEST(Utf8, FindsTheFirstByteThatBeginsNoCharacter) {
  EXPECT_EQ(FirstInvalidUtf8("plain, é, 日本, 🦜"), std::nullopt);
  EXPECT_EQ(FirstInvalidUtf8(""), std::nullopt);
  struct Row {
    std::string text;
    size_t at;
  };
  const Row table[] = {
      {"ab\xff", 2},
      {"\x80", 0},
      {"a\xc3", 1},
      {"\xc0\xaf", 0},
      {"\xed\xa0\x80", 0},
      {"\xe0\x80\x80", 0},
      {"ok\xf4\x90\x80\x80", 2},
      {"\xf5", 0},
      {"\xf0\x9f\xa6", 0},
      {"\xf0\x8f\xbf\xbf", 0},
  };
  for (const Row& row : table) EXPECT_EQ(FirstInvalidUtf8(row.text), row.at);
}

TEST(Utf8, ReplacesEachMaximalIllFormedSequence) {
  EXPECT_EQ(LossyUtf8("é"), "é");
  EXPECT_EQ(LossyUtf8("a\xff\xfe z"), "a\uFFFD\uFFFD z");
  EXPECT_EQ(LossyUtf8("\xf0\x9f\xa6!"), "\uFFFD!");  // a truncated character is one sequence
  EXPECT_EQ(LossyUtf8("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");
}

TEST(Terminal, ControlCharactersAreShownNotObeyed) {
  EXPECT_EQ(ForTerminal("a\nb\tc é 🦜"), "a\nb\tc é 🦜");
  EXPECT_EQ(ForTerminal("\x1b[2J"), "\u241B[2J");
  EXPECT_EQ(ForTerminal("\r\b\a"), "\u240D\u2408\u2407");
  EXPECT_EQ(ForTerminal(std::string(1, '\0')), "\u2400");
  EXPECT_EQ(ForTerminal("\x7f"), "\u2421");
  EXPECT_EQ(ForTerminal("\u009b31m"), "\uFFFD31m");  // CSI as one character
  EXPECT_EQ(ForTerminal("\u202Eevil\u2066"), "\uFFFDevil\uFFFD");
}

TEST(Terminal, JsonIsSpelledWithoutThem) {
  EXPECT_EQ(JsonForTerminal("{\"a\":\"é\u009b\x7f\u202e\"}"), R"({"a":"é\u009b\u007f\u202e"})");
}

TEST(TokenIds, ParsesLists) {
  EXPECT_EQ(ParseTokenIds("1,2,3"), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(ParseTokenIds(" 0 , 2147483647"), (std::vector<int32_t>{0, 2147483647}));
  for (const char* text :
       {"", ",", "1,", ",1", "1 2", "-1", "x", "1,x", "2147483648", "1.0", "+1"}) {
    EXPECT_EQ(ParseTokenIds(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace ssmd::ctl
