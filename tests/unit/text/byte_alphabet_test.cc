#include "engine/text/byte_alphabet.h"

#include <gtest/gtest.h>

#include "engine/text/utf8.h"

namespace ssmd {
namespace {

TEST(ByteAlphabet, IsGpt2s) {
  struct {
    unsigned char byte;
    char32_t character;
  } const kCases[] = {{0, 0x100},   {'\n', 0x10A}, {' ', 0x120}, {'!', '!'},   {'~', '~'},
                      {127, 0x121}, {160, 0x142},  {161, 161},   {173, 0x143}, {255, 255}};
  for (const auto& [byte, character] : kCases) EXPECT_EQ(ByteToAlphabet(byte), character);
}

TEST(ByteAlphabet, IsInvertible) {
  int letters = 0;
  for (char32_t c = 0; c < 0x200; ++c) {
    const auto byte = AlphabetToByte(c);
    if (!byte.has_value()) continue;
    ++letters;
    EXPECT_EQ(ByteToAlphabet(*byte), c);
  }
  EXPECT_EQ(letters, 256);
  EXPECT_EQ(AlphabetToByte(0x10FFFF), std::nullopt);
}

TEST(BytesWrittenBy, IsAbsentForForeignCharacters) {
  EXPECT_EQ(BytesWrittenBy("\xC4\xA0the"), " the");
  EXPECT_EQ(BytesWrittenBy("a b"), std::nullopt);
  EXPECT_EQ(BytesWrittenBy(""), "");
}

}  // namespace
}  // namespace ssmd
