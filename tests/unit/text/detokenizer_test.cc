#include "engine/text/detokenizer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace ssmd {
namespace {

#define FFFD "\xEF\xBF\xBD"

std::string Whole(std::string_view bytes) {
  Detokenizer detokenizer;
  std::string text = detokenizer.Push(bytes);
  return text + detokenizer.Flush();
}

// As Python's bytes.decode(errors="replace").
TEST(Detokenizer, ReplacesMaximalIllFormedSequences) {
  struct {
    std::string_view bytes;
    const char* text;
  } const kCases[] = {
      {"", ""},
      {"plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80",
       "plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"},
      {"\x80\xBF", FFFD FFFD},
      {"\xC0\x80", FFFD FFFD},
      {"\xE2\x82", FFFD},
      {"\xE2\x82x", FFFD "x"},
      {"\xE2\x82\xE2\x82\xAC", FFFD "\xE2\x82\xAC"},
      {"\xF0\x9F\x98\xC3\xA9", FFFD "\xC3\xA9"},
      {"\xED\xA0\x80", FFFD FFFD FFFD},
      {"\xF4\x90\x80\x80", FFFD FFFD FFFD FFFD},
      {"\xF0\x80\x80\x41", FFFD FFFD FFFD "A"},
      {"a\xFF\xFE", "a" FFFD FFFD},
  };
  for (const auto& [bytes, text] : kCases) EXPECT_EQ(Whole(bytes), text);
}

TEST(Detokenizer, HoldsBackAnIncompleteCharacterOnly) {
  Detokenizer detokenizer;
  EXPECT_EQ(detokenizer.Push("a\xF0\x9F"), "a");
  EXPECT_EQ(detokenizer.remainder(), "\xF0\x9F");
  EXPECT_EQ(detokenizer.Push("\x98"), "");
  EXPECT_EQ(detokenizer.Push("\x80"
                             "b"),
            "\xF0\x9F\x98\x80"
            "b");
  EXPECT_EQ(detokenizer.remainder(), "");
  EXPECT_EQ(detokenizer.Push("\xE2"), "");
  EXPECT_EQ(detokenizer.Push("x"), FFFD "x");  // cannot be continued any more
  EXPECT_EQ(detokenizer.Flush(), "");
}

TEST(Detokenizer, CopiesGoTheirOwnWays) {
  Detokenizer parent;
  parent.Push("\xC3");
  Detokenizer child = parent;
  EXPECT_EQ(parent.Push("\xA9"), "\xC3\xA9");
  EXPECT_EQ(child.Push("\xA8"), "\xC3\xA8");
}

TEST(Detokenizer, EveryCutGivesTheSameText) {
  constexpr std::string_view kBytes = "a\x80\xA0\xBF\xC3\xC0\xE2\xE0\xED\xF0\xF4\x90\x82\x9F\xFF";
  std::mt19937 random(2);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes;
    for (size_t i = random() % 12; i > 0; --i) bytes += kBytes[random() % kBytes.size()];
    Detokenizer detokenizer;
    std::string text;
    for (size_t at = 0; at < bytes.size();) {
      const size_t step = 1 + random() % 4;
      text += detokenizer.Push(std::string_view(bytes).substr(at, step));
      ASSERT_LE(detokenizer.remainder().size(), 3u);
      at += step;
    }
    ASSERT_EQ(text + detokenizer.Flush(), Whole(bytes)) << testing::PrintToString(bytes);
  }
}

}  // namespace
}  // namespace ssmd
