// Parts of a text where special tokens are not recognised: what users typed, within what a chat
// template wrote.
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_replace.h"
#include "tests/unit/text/chat_tokenizer.h"

namespace ssmd {
namespace {

std::string Encoded(const Tokenizer& tokenizer, const std::string& text,
                    std::vector<ByteSpan> unparsed) {
  EncodeOptions options;
  options.parse_special = true;
  options.unparsed = unparsed;
  const auto ids = tokenizer.Encode(text, options);
  EXPECT_TRUE(ids.ok()) << ids.status();
  return ids.ok() ? test::Shown(tokenizer, *ids) : "";
}

TEST(Unparsed, NoSpecialTokenLiesInItNorPartlyInIt) {
  const auto tokenizer = test::MakeChatTokenizer();
  EXPECT_EQ(Encoded(*tokenizer, "<s>a<s>b<s>", {}), "{<s>}a{<s>}b{<s>}");
  EXPECT_EQ(Encoded(*tokenizer, "<s>a<s>b<s>", {{4, 7}}), "{<s>}a<s>b{<s>}");
  EXPECT_EQ(Encoded(*tokenizer, "<s>a<s>b<s>", {{2, 3}, {10, 11}}), "<s>a{<s>}b<s>");
  EXPECT_EQ(Encoded(*tokenizer, "<s>a<s>b<s>", {{0, 1}, {3, 4}, {7, 8}}), "<s>a{<s>}b{<s>}");
  EXPECT_EQ(Encoded(*tokenizer, "<s>a<s>b<s>", {{0, 11}}), "<s>a<s>b<s>");
  EXPECT_EQ(Encoded(*tokenizer, "<s><other>", {{0, 10}}), "<s>{<other>}");
}

// Where tokens are looked for in normalised text, the parts are where normalising has put them.
TEST(Unparsed, MovesWithTheNormalisedText) {
  const std::string json = absl::StrReplaceAll(
      test::ChatTokenizerJson(), {{R"("normalizer":null)", R"("normalizer":{"type":"NFC"})"},
                                  {R"("content":"<s>","special":true,"normalized":false)",
                                   R"("content":"<s>","special":true,"normalized":true)"}});
  auto tokenizer = test::Load(json);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const std::string accented = "e\u0301<s>a<s>";  // one byte shorter when it is composed
  EXPECT_EQ(Encoded(**tokenizer, accented, {}), "{<s>}a{<s>}");
  EXPECT_EQ(Encoded(**tokenizer, accented, {{6, 7}}), "{<s>}a{<s>}");
  EXPECT_EQ(Encoded(**tokenizer, accented, {{6, 7}, {7, 10}}), "{<s>}a<s>");
  EXPECT_EQ(Encoded(**tokenizer, accented, {{0, 4}}), "<s>a{<s>}");
  // Behind a token that is found before normalising.
  EXPECT_EQ(Encoded(**tokenizer, "</s>" + accented, {{10, 14}}), "{</s>}{<s>}a<s>");
}

}  // namespace
}  // namespace ssmd
