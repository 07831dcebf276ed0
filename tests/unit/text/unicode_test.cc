#include "engine/text/unicode.h"

#include <gtest/gtest.h>

namespace ssmd {
namespace {

TEST(ClassesOf, FollowsHuggingFace) {
  struct {
    char32_t code_point;
    int classes;
  } const kCases[] = {
      {U'a', kLetter | kWord},
      {U'_', kPunctuation | kWord},
      {U'$', kPunctuation},  // a symbol in Unicode, punctuation in ASCII
      {U'7', kNumber | kNumeric | kWord},
      {U' ', kSpace},
      {0x1C, 0},  // white space to Python, not to Unicode
      {0x85, kSpace},
      {0xA0, kSpace},
      {0x180E, 0},  // white space until Unicode 6.2
      {0x200B, 0},
      {0x301, kWord},   // a combining mark
      {0x200D, kWord},  // the joiner of emoji
      {0xBD, kNumber | kNumeric},
      {0x4E00, kLetter | kWord},
      {0x1F600, 0},
      {0x1E4D0, kLetter | kWord},  // Nag Mundari, Unicode 15
      {0x16D40, kLetter | kWord},  // Kirat Rai, Unicode 16
      {0x2E52, 0},                 // punctuation since Unicode 14, which came too late
      {0x10FFFF, 0},
  };
  for (const auto& [code_point, classes] : kCases) {
    EXPECT_EQ(int{ClassesOf(code_point)}, classes) << std::hex << uint32_t{code_point};
  }
}

TEST(IsUnknownToNormalizer, KnowsTheEdgesOfItsRanges) {
  EXPECT_TRUE(IsUnknownToNormalizer(0x7FD));
  EXPECT_FALSE(IsUnknownToNormalizer(0x7FC));
  EXPECT_FALSE(IsUnknownToNormalizer(0x7FE));
  EXPECT_TRUE(IsUnknownToNormalizer(0x1ABF));
  EXPECT_TRUE(IsUnknownToNormalizer(0x1ACE));
  EXPECT_FALSE(IsUnknownToNormalizer(0x1ACF));
  EXPECT_FALSE(IsUnknownToNormalizer(0));
  EXPECT_FALSE(IsUnknownToNormalizer(0x10FFFF));
}

TEST(CategoryAdditionsTo, KnowsSupportedCategoriesOnly) {
  EXPECT_NE(CategoryAdditionsTo("L"), "");
  EXPECT_EQ(CategoryAdditionsTo("Zs"), "");
  EXPECT_EQ(CategoryAdditionsTo("Mn"), std::nullopt);
  EXPECT_EQ(CategoryAdditionsTo("Han"), std::nullopt);
  EXPECT_EQ(CategoryAdditionsTo(""), std::nullopt);
}

}  // namespace
}  // namespace ssmd
