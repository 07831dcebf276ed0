#include "engine/text/longest_match.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/text/tokenizer_files.h"

namespace ssmd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// All bytes, and a few longer tokens.
LongestMatchParts SmallVocabulary() {
  LongestMatchParts parts;
  for (int byte = 0; byte < 256; ++byte) {
    parts.vocabulary.push_back({byte + 1, std::string(1, static_cast<char>(byte))});
  }
  for (const char* text : {"ab", "abcd", "bc", "\xC3\xA9"}) {
    parts.vocabulary.push_back({static_cast<int32_t>(parts.vocabulary.size()) + 1, text});
  }
  parts.special = LongestMatchParts::Token{0, "<end>"};
  return parts;
}

constexpr int32_t kAb = 257, kAbcd = 258, kBc = 259, kEAcute = 260;
int32_t IdOfByte(char byte) { return static_cast<unsigned char>(byte) + 1; }

std::unique_ptr<Tokenizer> MustMake(LongestMatchParts parts) {
  auto tokenizer = MakeLongestMatch(std::move(parts));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

std::string MakeError(LongestMatchParts parts) {
  return std::string(MakeLongestMatch(std::move(parts)).status().message());
}

TEST(LongestMatch, TakesTheLongestTokenFromTheLeft) {
  const auto tokenizer = MustMake(SmallVocabulary());
  EXPECT_THAT(*tokenizer->Encode("abcd", {}), ElementsAre(kAbcd));
  EXPECT_THAT(*tokenizer->Encode("abc", {}), ElementsAre(kAb, IdOfByte('c')));  // not a, bc
  EXPECT_THAT(*tokenizer->Encode("xbc\xC3\xA9", {}), ElementsAre(IdOfByte('x'), kBc, kEAcute));
  EXPECT_THAT(*tokenizer->Encode("\xC3\xA8", {}), ElementsAre(IdOfByte('\xC3'), IdOfByte('\xA8')));
  EXPECT_TRUE(tokenizer->Encode("", {})->empty());
  EXPECT_EQ(tokenizer->size(), 261);
  EXPECT_EQ(tokenizer->TokenBytes(kAbcd), "abcd");
  EXPECT_EQ(tokenizer->TokenBytes(261), "");
  EXPECT_EQ(tokenizer->TokenBytes(-1), "");
  EXPECT_EQ(tokenizer->TokenId("abcd"), kAbcd);
  EXPECT_EQ(tokenizer->TokenId("abc"), std::nullopt);
  EXPECT_EQ(tokenizer->TokenId(""), std::nullopt);
}

TEST(LongestMatch, TheSpecialTokenIsTextUnlessAskedFor) {
  const auto tokenizer = MustMake(SmallVocabulary());
  EXPECT_EQ(tokenizer->Encode("<end>", {})->size(), 5u);
  EXPECT_THAT(*tokenizer->Encode("ab<end>ab", {.parse_special = true}), ElementsAre(kAb, 0, kAb));
  EXPECT_TRUE(tokenizer->IsSpecial(0));
  EXPECT_FALSE(tokenizer->IsSpecial(1));
  EXPECT_EQ(tokenizer->TokenId("<end>"), 0);
}

TEST(LongestMatch, RefusesWhatIsNotUtf8) {
  EXPECT_THAT(std::string(MustMake(SmallVocabulary())->Encode("ab\xFF", {}).status().message()),
              HasSubstr("byte 2"));
}

TEST(LongestMatch, RefusesVocabulariesThatBreakTheRules) {
  LongestMatchParts parts = SmallVocabulary();
  parts.vocabulary.push_back({300, "ab"});
  EXPECT_THAT(MakeError(parts), HasSubstr("tokens 257 and 300 are both \"ab\""));
  parts.vocabulary.back() = {257, "new"};
  EXPECT_THAT(MakeError(parts), HasSubstr("token id 257 is there twice"));
  parts.vocabulary.back() = {0, "new"};
  EXPECT_THAT(MakeError(parts), HasSubstr("token id 0 is there twice"));
  parts.vocabulary.back() = {-1, "new"};
  EXPECT_THAT(MakeError(parts), HasSubstr("token id -1"));
  parts.vocabulary.back() = {1 << 30, "new"};
  EXPECT_THAT(MakeError(parts), HasSubstr("is not in [0, "));
  parts.vocabulary.back() = {300, ""};
  EXPECT_THAT(MakeError(parts), HasSubstr("token 300 has 0 bytes"));
  parts.vocabulary.back() = {300, std::string(5000, 'a')};
  EXPECT_THAT(MakeError(parts), HasSubstr("token 300 has 5000 bytes"));
  parts = SmallVocabulary();
  std::erase_if(parts.vocabulary, [](const auto& token) { return token.bytes == "q"; });
  EXPECT_THAT(MakeError(parts), HasSubstr("no token for the byte 113 alone"));
}

TEST(ByteTokenizer, TokensAreBytes) {
  const auto tokenizer = MakeByteTokenizer();
  EXPECT_THAT(*tokenizer->Encode("a\xC3\xA9", {}), ElementsAre('a', 0xC3, 0xA9));
  EXPECT_EQ(tokenizer->TokenBytes(0xC3), "\xC3");
  EXPECT_EQ(tokenizer->TokenBytes(0), std::string_view("\0", 1));
  EXPECT_EQ(tokenizer->size(), 256);
  EXPECT_FALSE(tokenizer->IsSpecial(0));
}

std::vector<std::string> LiteralsOf(const std::string& lines) {
  const auto parts = ReadRwkvVocabulary(lines, "v.txt");
  EXPECT_TRUE(parts.ok()) << parts.status();
  std::vector<std::string> texts;
  if (!parts.ok()) return texts;
  for (const auto& token : parts->vocabulary) texts.push_back(token.bytes);
  return texts;
}

TEST(RwkvVocabulary, ReadsPythonsLiterals) {
  EXPECT_THAT(
      LiteralsOf("1 'a' 1\n2 b'\\xff' 1\n3 '\\xff' 2\n4 \"it's\" 4\n5 '\\n\\t\\r\\\\\\'' 5\n"),
      ElementsAre("a", "\xFF", "\xC3\xBF", "it's", "\n\t\r\\'"));
  EXPECT_THAT(LiteralsOf("1 ' ' 1\n2 '  ' 2\n3 '\\u2028' 3\n4 '\\U0001f600' 4\n5 '\xC3\xA9' 2"),
              ElementsAre(" ", "  ", "\xE2\x80\xA8", "\xF0\x9F\x98\x80", "\xC3\xA9"));
  EXPECT_THAT(LiteralsOf("7 'a' 1\r\n"), ElementsAre("a"));
}

TEST(RwkvVocabulary, NamesTheLineThatIsNone) {
  for (const char* line : {"",
                           "1",
                           "1 'a'",
                           "'a' 1",
                           "x 'a' 1",
                           "1 'a' x",
                           "1 'a' 2",
                           "1 a 1",
                           "1 'a\" 1",
                           "1 ' 1",
                           "1 'a'b' 3",
                           "1 '\\q' 1",
                           "1 '\\' 1",
                           "1 '\\x' 1",
                           "1 '\\x4' 1",
                           "1 '\\xgg' 1",
                           "1 '\\ud800' 3",
                           "1 '\\U00110000' 4",
                           "1 b'\\u0041' 1",
                           "1 b'\xC3\xA9' 2",
                           "1 '' 1",
                           "99999999999 'a' 1",
                           "1 'a' -1",
                           "  'a' 1"}) {
    SCOPED_TRACE(line);
    const auto parts = ReadRwkvVocabulary(absl::StrCat("1 'a' 1\n", line, "\n"), "v.txt");
    EXPECT_THAT(std::string(parts.status().message()), HasSubstr("v.txt: line 2 is not"));
  }
}

class WorldVocabulary : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* const data = std::getenv("SSMD_TEST_DATA");
    if (data == nullptr) GTEST_SKIP() << "SSMD_TEST_DATA is not set";
    data_ = data;
    const std::string file = data_ + "/tokenizers/rwkv_vocab_v20230424.txt";
    if (!std::filesystem::exists(file)) GTEST_SKIP() << "no tokenizers/rwkv_vocab_v20230424.txt";
    std::filesystem::copy_file(file, folder_.path() + "/rwkv_vocab_v20230424.txt");
    auto tokenizer = LoadTokenizer(folder_.path());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
  }

  std::string Text(const std::string& name) const {
    std::ifstream in(data_ + "/text/" + name, std::ios::binary);
    return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  }

  std::string data_;
  const test::TemporaryFolder folder_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(WorldVocabulary, HasItsTokens) {
  EXPECT_EQ(tokenizer_->size(), 65530);
  EXPECT_TRUE(tokenizer_->IsSpecial(0));
  EXPECT_EQ(tokenizer_->TokenBytes(1), std::string_view("\0", 1));
  EXPECT_EQ(tokenizer_->TokenBytes(256), "\xFF");
  EXPECT_EQ(tokenizer_->TokenBytes(260), "\n\t");
  EXPECT_EQ(tokenizer_->TokenBytes(65529), std::string(128, ' '));
}

// Written anew: the longest piece that is a token, by trying all lengths.
std::vector<int32_t> GreedyTokens(const std::string& text, const Tokenizer& tokenizer) {
  std::unordered_map<std::string, int32_t> ids;
  size_t longest = 0;
  for (int32_t id = 1; id < tokenizer.size(); ++id) {
    const std::string bytes(tokenizer.TokenBytes(id));
    longest = std::max(longest, bytes.size());
    ids.emplace(bytes, id);
  }
  std::vector<int32_t> tokens;
  for (size_t at = 0; at < text.size();) {
    size_t length = std::min(longest, text.size() - at);
    while (ids.find(text.substr(at, length)) == ids.end()) --length;
    tokens.push_back(ids.at(text.substr(at, length)));
    at += length;
  }
  return tokens;
}

TEST_F(WorldVocabulary, EqualsAPlainSearchOnRealTextAndGivesItBack) {
  const std::string kinds =
      "  中文，日本語 ελληνικά \xF0\x9F\x98\x80\n\n\t0123456789 naïve <|endoftext|>";
  for (const std::string& text : {Text("tinyshakespeare.txt").substr(0, 40000),
                                  Text("tinystories/held-out.txt").substr(0, 40000), kinds}) {
    ASSERT_FALSE(text.empty());
    const auto tokens = tokenizer_->Encode(text, {});
    ASSERT_TRUE(tokens.ok()) << tokens.status();
    EXPECT_EQ(*tokens, GreedyTokens(text, *tokenizer_));
    std::string back;
    for (const int32_t id : *tokens) back += tokenizer_->TokenBytes(id);
    EXPECT_EQ(back, text);
  }
}

}  // namespace
}  // namespace ssmd
