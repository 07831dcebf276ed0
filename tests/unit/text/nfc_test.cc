#include "engine/text/nfc.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/text/utf8.h"

namespace ssmd {
namespace {

std::string Utf8(std::u32string_view text) {
  std::string bytes;
  for (const char32_t c : text) AppendUtf8(c, &bytes);
  return bytes;
}

TEST(NormalizeNfc, ComposesAndOrders) {
  struct {
    std::u32string_view text;
    std::u32string_view expected;
  } const kCases[] = {
      {U"", U""},
      {U"plain", U"plain"},
      {U"e\u0301", U"\u00e9"},
      {U"\u00e9", U"\u00e9"},
      {U"\u212b", U"\u00c5"},  // a singleton
      {U"s\u0323\u0307", U"\u1e69"},
      {U"s\u0307\u0323", U"\u1e69"},                                  // out of order
      {U"a\u0315\u0300\u05ae\u0300b", U"\u00e0\u05ae\u0300\u0315b"},  // same class: blocked
      {U"\u0344", U"\u0308\u0301"},                                   // excluded from composition
      {U"\u0958", U"\u0915\u093c"},                                   // excluded from composition
      {U"\u1100\u1161\u11a8", U"\uac01"},                             // Hangul
      {U"\uac00\u11a8", U"\uac01"},
      {U"\uac01\u11a8", U"\uac01\u11a8"},
      {U"\u09c7\u09be", U"\u09cb"},  // both starters
      {U"\u09c7x\u09be", U"\u09c7x\u09be"},
      {U"\u0301\u0300", U"\u0301\u0300"},  // no starter at all
      {U"\u0f73", U"\u0f71\u0f72"},        // a starter that decomposes into marks
      {U"\U0002f800", U"\u4e3d"},
      // Newer than the reference's normaliser, which leaves them alone.
      {U"\U00011935\U00011930", U"\U00011935\U00011930"},
      {U"\U00011938", U"\U00011938"},
      {U"e\u1ac1\u0323", U"e\u1ac1\u0323"},
      {U"e\u1ac1\u0301", U"e\u1ac1\u0301"},
  };
  for (const auto& [text, expected] : kCases) {
    EXPECT_EQ(NormalizeNfc(Utf8(text)), Utf8(expected)) << Utf8(text);
  }
}

TEST(NormalizeNfc, OrdersAMegabyteOfMarks) {
  constexpr int kPairs = 250000;
  std::string text;
  std::string expected;
  for (int i = 0; i < kPairs; ++i) text += Utf8(U"\u0345\u0334");
  for (int i = 0; i < kPairs; ++i) expected += Utf8(U"\u0334");
  for (int i = 0; i < kPairs; ++i) expected += Utf8(U"\u0345");
  EXPECT_TRUE(NormalizeNfc(text) == expected);
}

}  // namespace
}  // namespace ssmd
