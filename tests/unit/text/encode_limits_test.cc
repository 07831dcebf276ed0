// Long hostile texts through the whole of Encode: what would take hours if any part of it
// were quadratic.
#include <gtest/gtest.h>

#include <string>

#include "engine/text/tokenizer.h"

namespace ssmd {
namespace {

class EncodeLongText : public testing::TestWithParam<const char*> {};

TEST_P(EncodeLongText, OfOnePattern) {
  std::string text;
  while (text.size() < (size_t{1} << 19)) text += GetParam();
  for (const char* name : {"features", "llama3", "falcon", "no-regex", "inverted"}) {
    const auto tokenizer = LoadTokenizer(std::string(SSMD_TEXT_DATA "/") + name);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    const auto ids = (*tokenizer)->Encode(text, {.parse_special = true});
    ASSERT_TRUE(ids.ok()) << name << ": " << ids.status();
  }
}

INSTANTIATE_TEST_SUITE_P(Table, EncodeLongText,
                         testing::Values("a", " ", "\n", "1", "'", "!", "\r\n", "ab", " a", "a ",
                                         "\xC2\xA0", "e\u0301", "\u0345\u0334", "\u0f73", "\uac00",
                                         "\u4e00", "\U0001F600\u200d", "<mask>", "<mask> ", "  \n",
                                         "<|endoftext|>", "[MASK]", "'s"));

}  // namespace
}  // namespace ssmd
