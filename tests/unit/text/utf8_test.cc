#include "engine/text/utf8.h"

#include <gtest/gtest.h>

namespace ssmd {
namespace {

TEST(NextUtf8, JudgesEveryKindOfSequence) {
  struct {
    std::string_view text;
    Utf8Kind kind;
    size_t bytes;
  } const kCases[] = {
      {"a", Utf8Kind::kCharacter, 1},
      {"\x7F", Utf8Kind::kCharacter, 1},
      {"\xC2\x80", Utf8Kind::kCharacter, 2},
      {"\xDF\xBF", Utf8Kind::kCharacter, 2},
      {"\xE0\xA0\x80", Utf8Kind::kCharacter, 3},
      {"\xED\x9F\xBF", Utf8Kind::kCharacter, 3},
      {"\xEF\xBF\xBF", Utf8Kind::kCharacter, 3},
      {"\xF0\x90\x80\x80", Utf8Kind::kCharacter, 4},
      {"\xF4\x8F\xBF\xBF", Utf8Kind::kCharacter, 4},
      {"\x80", Utf8Kind::kIllFormed, 1},              // a tail without a lead
      {"\xC0\x80", Utf8Kind::kIllFormed, 1},          // overlong
      {"\xC1\xBF", Utf8Kind::kIllFormed, 1},          // overlong
      {"\xE0\x9F\xBF", Utf8Kind::kIllFormed, 1},      // overlong
      {"\xF0\x8F\xBF\xBF", Utf8Kind::kIllFormed, 1},  // overlong
      {"\xED\xA0\x80", Utf8Kind::kIllFormed, 1},      // a surrogate
      {"\xF4\x90\x80\x80", Utf8Kind::kIllFormed, 1},  // above U+10FFFF
      {"\xF5\x80\x80\x80", Utf8Kind::kIllFormed, 1},  // no lead byte
      {"\xFF", Utf8Kind::kIllFormed, 1},              // no lead byte
      {"\xE2\x82x", Utf8Kind::kIllFormed, 2},         // maximal subpart: both bytes
      {"\xF0\x9F\x92\xC3", Utf8Kind::kIllFormed, 3},  // maximal subpart: three bytes
      {"\xC3", Utf8Kind::kIncomplete, 1},
      {"\xE2\x82", Utf8Kind::kIncomplete, 2},
      {"\xF0\x9F\x92", Utf8Kind::kIncomplete, 3},
  };
  for (const auto& [text, kind, bytes] : kCases) {
    const Utf8Step step = NextUtf8(text);
    EXPECT_EQ(step.kind, kind) << testing::PrintToString(text);
    EXPECT_EQ(step.bytes, bytes) << testing::PrintToString(text);
  }
}

TEST(Utf8, EncodesAndDecodesEveryCharacter) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text = "x";
    AppendUtf8(c, &text);
    const CodePoint decoded = DecodeUtf8(text, 1);
    ASSERT_EQ(decoded.value, c);
    ASSERT_EQ(decoded.bytes, text.size() - 1);
    ASSERT_EQ(DecodeUtf8Before(text, text.size()).value, c);
    ASSERT_FALSE(FindInvalidUtf8(text).has_value());
  }
}

TEST(FindInvalidUtf8, NamesTheFirstByte) {
  EXPECT_EQ(FindInvalidUtf8(""), std::nullopt);
  EXPECT_EQ(FindInvalidUtf8("a\xC3\xA9\xE2\x82\xAC"), std::nullopt);
  EXPECT_EQ(FindInvalidUtf8("ab\xFFz"), 2u);
  EXPECT_EQ(FindInvalidUtf8("\xC3\xA9\xC3"), 2u);
  EXPECT_EQ(FindInvalidUtf8("ab\xE2\x82"), 2u);
}

}  // namespace
}  // namespace ssmd
