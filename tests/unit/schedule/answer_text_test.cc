#include "engine/schedule/answer_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/schedule/fake_tokenizer.h"

namespace ssmd::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Ids by their text, so that cases can be read.
int32_t Id(std::string_view token) { return *FakeTokenizer().TokenId(token); }

struct TextCase {
  const char* name;
  std::vector<std::string> tokens;
  std::vector<std::string> stops;
  std::vector<std::string> shown;  // after each token
  // After the last token, where a stop string was completed:
  size_t stop_token = 0;
  std::string before_stop;
};

class AnswerTextTest : public ::testing::TestWithParam<TextCase> {};

TEST_P(AnswerTextTest, ShowsWholeCharactersThatBelongToNoStop) {
  const TextCase& test = GetParam();
  FakeTokenizer tokenizer;
  AnswerText text(&tokenizer, test.stops.empty() ? nullptr : MakeStopAutomaton(test.stops));
  std::vector<std::string> shown;
  bool stopped = false;
  for (const std::string& token : test.tokens) {
    ASSERT_FALSE(stopped) << "a token after the stop";
    stopped = text.Push(Id(token));
    shown.push_back(text.TakeText());
  }
  EXPECT_EQ(shown, test.shown);
  EXPECT_EQ(stopped, test.stop_token > 0 || !test.before_stop.empty());
  if (!stopped) return;
  EXPECT_EQ(text.stop_token(), test.stop_token);
  EXPECT_EQ(text.bytes_before_stop(), test.before_stop);
  text.Finish(false);
  EXPECT_EQ(text.TakeText(), "");
}

INSTANTIATE_TEST_SUITE_P(
    , AnswerTextTest,
    ::testing::Values(
        TextCase{"NoStops", {"a", "bc", "<end>", "d"}, {}, {"a", "bc", "", "d"}, 0, ""},
        TextCase{"HoldsACharacterBack",
                 {"a", "\xE2", "\x82", "\xAC"},
                 {},
                 {"a", "", "", "\xE2\x82\xAC"},
                 0,
                 ""},
        TextCase{"AByteThatFitsNowhere",
                 {"\xE2", "a"},
                 {},
                 {"",
                  "\xEF\xBF\xBD"
                  "a"},
                 0,
                 ""},
        TextCase{
            "HoldsAPossibleStopBack", {"d", "a", "a", "d"}, {"ab"}, {"d", "", "a", "ad"}, 0, ""},
        TextCase{"StopAcrossTokens", {"d", "e", "a", "b"}, {"ab"}, {"d", "e", "", ""}, 2, ""},
        TextCase{"StopWithinAToken", {"d", "abc"}, {"b"}, {"d", "a"}, 1, "a"},
        TextCase{"StopFromWithinATokenOn", {"d", "ca", "bc"}, {"abc"}, {"d", "c", ""}, 1, "c"},
        TextCase{
            "StopAcrossASpecialToken", {"d", "a", "<end>", "b"}, {"ab"}, {"d", "", "", ""}, 1, ""},
        TextCase{"TheFirstToEndWins", {"d", "abc"}, {"abcd", "bc"}, {"d", "a"}, 1, "a"},
        TextCase{
            "ALaterStartWins", {"d", "a", "b", "c"}, {"abd", "bc"}, {"d", "", "", "a"}, 2, ""}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(AnswerText, SaysInWhichTokenAStopMayHaveBegun) {
  FakeTokenizer tokenizer;
  AnswerText text(&tokenizer, MakeStopAutomaton({"abcd"}));
  text.Push(Id("d"));
  EXPECT_EQ(text.possible_stop_token(), std::nullopt);
  text.Push(Id("ca"));
  EXPECT_EQ(text.possible_stop_token(), 1u);
  text.Push(Id("<end>"));
  text.Push(Id("bc"));
  EXPECT_EQ(text.possible_stop_token(), 1u);
  text.Push(Id("a"));
  EXPECT_EQ(text.possible_stop_token(), 4u);
  text.Push(Id("z"));
  EXPECT_EQ(text.possible_stop_token(), std::nullopt);
}

TEST(AnswerText, WhatWasHeldBackIsTextAtTheEnd) {
  FakeTokenizer tokenizer;
  for (const bool more_may_follow : {false, true}) {
    AnswerText text(&tokenizer, MakeStopAutomaton({"abcd"}));
    text.Push(Id("abc"));
    text.Push(Id("\xE2"));
    text.TakeText();
    text.Push(Id("ab"));
    EXPECT_EQ(text.TakeText(), "") << "neither the stop's beginning nor half a character";
    text.Push(Id("\xE2"));
    EXPECT_EQ(text.TakeText(),
              "\xEF\xBF\xBD"
              "ab");
    text.Push(Id("abc"));
    text.Finish(more_may_follow);
    EXPECT_EQ(text.TakeText(),
              "\xEF\xBF\xBD"
              "abc");
    EXPECT_EQ(text.remainder(), "");
  }
}

TEST(AnswerText, AnIncompleteCharacterAtTheEndStaysOnlyIfMoreMayFollow) {
  FakeTokenizer tokenizer;
  for (const bool more_may_follow : {false, true}) {
    AnswerText text(&tokenizer, nullptr);
    text.Push(Id("a\xE2"));
    text.Finish(more_may_follow);
    EXPECT_EQ(text.TakeText(), more_may_follow ? "a" : "a\xEF\xBF\xBD");
    EXPECT_EQ(text.remainder(), more_may_follow ? "\xE2" : "");
  }
}

TEST(AnswerText, AKeptStopIsReadThoughNotShown) {
  FakeTokenizer tokenizer;
  AnswerText text(&tokenizer, MakeStopAutomaton({"ca"}));
  text.Push(Id("c"));
  ASSERT_TRUE(text.Push(Id("a\xE2")));
  text.Finish(true);
  text.KeepStopInHistory();
  EXPECT_EQ(text.TakeText(), "");
  EXPECT_EQ(text.remainder(), "\xE2");
}

TEST(AnswerText, GoesOnFromAnIncompleteCharacterOfTheHistory) {
  FakeTokenizer tokenizer;
  AnswerText text(&tokenizer, nullptr);
  Detokenizer history;
  history.Push("\xC3");
  text.StartAfter(history);
  text.Push(Id("\xA9"));
  EXPECT_EQ(text.TakeText(), "\xC3\xA9");
}

TEST(TextRemainder, IsTheBeginningOfACharacterAtTheEnd) {
  const FakeTokenizer tokenizer;
  const auto after = [&](const std::vector<int32_t>& ids) {
    History history;
    for (int i = 0; i < 100; ++i) history.Append(TokenLog{LoggedToken(Id("a"), false)});
    for (const int32_t id : ids) history.Append(TokenLog{LoggedToken(id, true)});
    history.Append(TokenLog{LoggedToken(Id("\xA9"), true)});
    return TextRemainder(tokenizer, history, history.size() - 1);
  };
  EXPECT_EQ(after({}), "");
  EXPECT_EQ(after({Id("\xC3")}), "\xC3");
  EXPECT_EQ(after({Id("\xC3"), Id("\xA9")}), "");
  EXPECT_EQ(after({Id("a\xE2"), Id("\x82")}), "\xE2\x82");
  EXPECT_EQ(after({Id("\xE2"), Id("<bos>"), Id("\x82")}), "\xE2\x82");
  EXPECT_EQ(after({Id("\xE2"), Id("\xC3")}), "\xC3");
  EXPECT_EQ(TextRemainder(tokenizer, History(), 0), "");
}

TEST(TokensOfBytes, ReadsTextAsTheTokenizerDoesAndOtherBytesByTheLongestToken) {
  FakeTokenizer tokenizer;
  EXPECT_THAT(TokensOfBytes(tokenizer, ""), IsEmpty());
  EXPECT_THAT(TokensOfBytes(tokenizer, "abcd"), ElementsAre(Id("abc"), Id("d")));
  EXPECT_THAT(TokensOfBytes(tokenizer, "\x82\xAC"), ElementsAre(Id("\x82"), Id("\xAC")));
  EXPECT_THAT(TokensOfBytes(tokenizer,
                            "\xAC"
                            "zca\xE2"),
              ElementsAre(Id("\xACz"), Id("ca"), Id("\xE2")));
}

}  // namespace
}  // namespace ssmd::testing
