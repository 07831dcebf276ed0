#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/text/byte_level_bpe.h"
#include "tests/unit/text/tokenizer_files.h"

namespace ssmd {
namespace {

using test::AddedTokenJson;
using test::Load;
using test::TokenizerFile;
using testing::ElementsAre;
using testing::HasSubstr;

std::unique_ptr<Tokenizer> MustLoad(const TokenizerFile& file, std::string_view config = "") {
  auto tokenizer = Load(file.Json(), config);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

TEST(LoadTokenizer, MissingFileIsNotFound) {
  const test::TemporaryFolder folder;
  EXPECT_TRUE(absl::IsNotFound(LoadTokenizer(folder.path()).status()));
}

TEST(LoadTokenizer, ReadsASmallFile) {
  const auto tokenizer = MustLoad({});
  EXPECT_EQ(tokenizer->size(), 6);
  EXPECT_THAT(*tokenizer->Encode("ab aab", {}), ElementsAre(3, 2, 0, 3));
  EXPECT_EQ(tokenizer->TokenBytes(4), " ab");
  EXPECT_EQ(tokenizer->TokenId("\xC4\xA0"
                               "ab"),
            4);
  EXPECT_EQ(tokenizer->TokenId("x"), std::nullopt);
  EXPECT_EQ(tokenizer->TokenBytes(6), "");
  EXPECT_EQ(tokenizer->TokenBytes(-1), "");
  EXPECT_FALSE(tokenizer->IsSpecial(6));
  EXPECT_FALSE(tokenizer->IsSpecial(-1));
  EXPECT_EQ(tokenizer->bos_to_add(), std::nullopt);
}

TEST(LoadTokenizer, ReadsMergesAsPairs) {
  TokenizerFile file;
  file.merges = R"([["a","b"],["Ġ","ab"]])";
  EXPECT_THAT(*MustLoad(file)->Encode(" ab", {}), ElementsAre(4));
}

TEST(LoadTokenizer, SpecialTokensAreTextUnlessAskedFor) {
  TokenizerFile file;
  file.vocabulary = R"({"a":0,"<":1,"s":2,">":3,"<s>":4})";
  file.merges = "[]";
  file.added_tokens = absl::StrCat("[", AddedTokenJson(4, "<s>", "special"), "]");
  const auto tokenizer = MustLoad(file);
  EXPECT_THAT(*tokenizer->Encode("a<s>", {}), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(*tokenizer->Encode("a<s>", {.parse_special = true}), ElementsAre(0, 4));
  EXPECT_TRUE(tokenizer->IsSpecial(4));
  EXPECT_FALSE(tokenizer->IsSpecial(0));
  EXPECT_EQ(tokenizer->TokenBytes(4), "<s>");
}

TEST(LoadTokenizer, AddedTokensThatAreNotSpecialAlwaysMatch) {
  TokenizerFile file;
  file.added_tokens = absl::StrCat("[", AddedTokenJson(6, "  ", "normalized"), "]");
  const auto tokenizer = MustLoad(file);
  EXPECT_THAT(*tokenizer->Encode("a   ab", {}), ElementsAre(0, 6, 4));
  EXPECT_FALSE(tokenizer->IsSpecial(6));
}

TEST(LoadTokenizer, EmptyTextHasNoTokens) {
  EXPECT_THAT(*MustLoad({})->Encode("", {}), ElementsAre());
}

TEST(LoadTokenizer, RefusesTextThatIsNotUtf8) {
  const auto tokenizer = MustLoad({});
  const absl::Status status = tokenizer->Encode("ab\xFF", {}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("byte 2"));
}

TEST(LoadTokenizer, LimitsTheText) {
  const auto tokenizer = MustLoad({});
  EXPECT_TRUE(tokenizer->Encode(std::string(kMaxTextBytes, 'a'), {}).ok());
  EXPECT_TRUE(
      absl::IsInvalidArgument(tokenizer->Encode(std::string(kMaxTextBytes + 1, 'a'), {}).status()));
}

TEST(LoadTokenizer, TakesBosFromTheTemplate) {
  TokenizerFile file;
  file.post_processor = R"({"type":"Sequence","processors":[{"type":"ByteLevel"},
      {"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},
       {"Sequence":{"id":"A","type_id":0}}],
       "special_tokens":{"<s>":{"id":"<s>","ids":[5],"tokens":["<s>"]}}}]})";
  EXPECT_EQ(MustLoad(file)->bos_to_add(), 5);
  EXPECT_EQ(MustLoad(file, R"({"add_bos_token":null})")->bos_to_add(), 5);
  EXPECT_EQ(MustLoad(file, R"({"add_bos_token":false})")->bos_to_add(), std::nullopt);
}

TEST(LoadTokenizer, TakesBosFromTheConfiguration) {
  EXPECT_EQ(MustLoad({}, R"({"add_bos_token":true,"bos_token":"<s>"})")->bos_to_add(), 5);
  EXPECT_EQ(MustLoad({}, R"({"add_bos_token":true,"bos_token":{"content":"<s>"}})")->bos_to_add(),
            5);
  EXPECT_EQ(MustLoad({}, R"({"bos_token":"<s>"})")->bos_to_add(), std::nullopt);
}

TEST(LoadTokenizer, ForgivesForeignOptionsThatHaveNoEffect) {
  TokenizerFile file;
  file.model_options =
      R"("dropout":0.0,"continuing_subword_prefix":"","end_of_word_suffix":"","fuse_unk":true,)";
  EXPECT_THAT(*MustLoad(file)->Encode("ab", {}), ElementsAre(3));
}

struct BadFile {
  const char* name;
  TokenizerFile file;
  const char* place;  // part of the message
};

class LoadTokenizerRefuses : public testing::TestWithParam<BadFile> {};

TEST_P(LoadTokenizerRefuses, NamingTheField) {
  const auto tokenizer = Load(GetParam().file.Json());
  ASSERT_TRUE(absl::IsInvalidArgument(tokenizer.status())) << tokenizer.status();
  EXPECT_THAT(std::string(tokenizer.status().message()),
              HasSubstr(absl::StrCat("tokenizer.json: ", GetParam().place)));
}

std::string OneSplit(const std::string& pattern) {
  return absl::StrCat(R"({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":)", pattern,
                      R"(,"behavior":"Isolated","invert":false},)",
                      R"({"type":"ByteLevel","add_prefix_space":false}]})");
}

std::vector<BadFile> BadFiles() {
  const auto added = [](const std::string& elements) {
    return TokenizerFile{.added_tokens = "[" + elements + "]"};
  };
  const auto model = [](const char* options) { return TokenizerFile{.model_options = options}; };
  const auto pre = [](const std::string& json) { return TokenizerFile{.pre_tokenizer = json}; };
  const auto post = [](const char* json) { return TokenizerFile{.post_processor = json}; };
  const std::string long_token(kMaxAddedTokenBytes + 1, 'x');
  return {
      {"EmptyVocabulary", {.vocabulary = "{}", .merges = "[]"}, "model.vocab: is empty"},
      {"VocabularyOfAnotherType", {.vocabulary = "[]"}, "model.vocab: must be an object"},
      {"NegativeId", {.vocabulary = R"({"a":-1})"}, "model.vocab: the id of \"a\""},
      {"FractionalId", {.vocabulary = R"({"a":1.5})"}, "model.vocab: the id of \"a\""},
      {"HugeId", {.vocabulary = R"({"a":4194304})"}, "model.vocab: the id of \"a\""},
      {"SameId", {.vocabulary = R"({"a":0,"b":0})"}, "model.vocab: two tokens have the id 0"},
      {"MergeOfNoToken", {.merges = R"(["a b","a x"])"}, "model.merges[1]: \"x\" is not a token"},
      {"MergeIntoNoToken", {.merges = R"(["b a"])"}, "model.merges[0]: \"ba\" is not a token"},
      {"MergeOfThree", {.merges = R"(["a b a"])"}, "model.merges[0]: must be two tokens"},
      {"MergePairOfThree", {.merges = R"([["a","b","a"]])"}, "model.merges[0]: must be two"},
      {"MergeOfNumbers", {.merges = R"([[1,2]])"}, "model.merges[0]: must be two tokens"},
      {"MergesOfAnotherType", {.merges = R"("a b")"}, "model.merges: must be an array"},
      {"Dropout", model(R"("dropout":0.1,)"), "model.dropout: "},
      {"SubwordPrefix", model(R"("continuing_subword_prefix":"##",)"),
       "model.continuing_subword_prefix: "},
      {"WordSuffix", model(R"("end_of_word_suffix":"</w>",)"), "model.end_of_word_suffix: "},
      {"UnknownToken", model(R"("unk_token":"<s>",)"), "model.unk_token: "},
      {"ByteFallback", model(R"("byte_fallback":true,)"), "model.byte_fallback: "},
      {"IgnoreMergesOfAnotherType", model(R"("ignore_merges":1,)"), "model.ignore_merges: must"},
      {"AddedWithoutId", added(R"({"content":"x"})"), "added_tokens[0]: has no \"id\""},
      {"AddedWithoutFlag", added(R"({"id":6,"content":"x","special":true})"),
       "added_tokens[0]: has no \"normalized\""},
      {"AddedUnderAnotherId", added(AddedTokenJson(7, "x", "")),
       "added_tokens[0]: the id must be 6"},
      {"AddedTwice",
       added(AddedTokenJson(5, "<s>", "") + "," + AddedTokenJson(5, "<s>", "special")),
       "added_tokens[1]: another token has the id 5"},
      {"AddedTooLong", added(AddedTokenJson(6, long_token, "")),
       "added_tokens[0].content: is longer"},
      {"Normalizer", {.normalizer = R"({"type":"NFKC"})"}, "normalizer.type: \"NFKC\""},
      {"NormalizerInSequence",
       {.normalizer = R"({"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Lowercase"}]})"},
       "normalizer.normalizers[1].type: \"Lowercase\""},
      {"NoPreTokenizer", pre("null"), "has no \"pre_tokenizer\""},
      {"PreTokenizer", pre(R"({"type":"Metaspace"})"), "pre_tokenizer.type: \"Metaspace\""},
      {"NoByteLevel", pre(R"({"type":"Sequence","pretokenizers":[]})"),
       "pre_tokenizer: has no ByteLevel"},
      {"TwoByteLevels",
       pre(R"({"type":"Sequence","pretokenizers":[{"type":"ByteLevel","add_prefix_space":false},
           {"type":"ByteLevel","add_prefix_space":false}]})"),
       "pre_tokenizer.pretokenizers[1]: a second ByteLevel"},
      {"ByteLevelWithoutFlag", pre(R"({"type":"ByteLevel"})"),
       "pre_tokenizer: has no \"add_prefix_space\""},
      {"SplitBehavior",
       pre(R"({"type":"Split","pattern":{"String":"a"},"behavior":"X","invert":false})"),
       "pre_tokenizer.behavior: \"X\""},
      {"SplitOfNothing", pre(OneSplit(R"({})")), "pre_tokenizer.pretokenizers[0].pattern: must be"},
      {"SplitByEmptyLiteral", pre(OneSplit(R"({"String":""})")),
       "pre_tokenizer.pretokenizers[0].pattern.String: an empty literal"},
      {"SplitByMalformedRegex", pre(OneSplit(R"({"Regex":"a(b"})")),
       "pre_tokenizer.pretokenizers[0].pattern.Regex: "},
      {"SplitByForeignRegex", pre(OneSplit(R"({"Regex":"\\w+"})")),
       "pre_tokenizer.pretokenizers[0].pattern.Regex: the construct \"\\w\""},
      {"Decoder", {.decoder = R"({"type":"WordPiece"})"}, "decoder.type: \"WordPiece\""},
      {"PostProcessor", post(R"({"type":"BertProcessing"})"), "post_processor.type: "},
      {"TemplateWithEos", post(R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"A"}},
           {"SpecialToken":{"id":"<s>"}}],"special_tokens":{}})"),
       "post_processor.single: must be the text"},
      {"TemplateOfUnknownToken",
       post(R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}},
           {"Sequence":{"id":"A"}}],"special_tokens":{}})"),
       "post_processor.special_tokens: has no \"x\""},
      {"TemplateOfForeignId",
       post(R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}},
           {"Sequence":{"id":"A"}}],"special_tokens":{"x":{"ids":[77]}}})"),
       "post_processor: no token has the id 77"},
  };
}

INSTANTIATE_TEST_SUITE_P(Table, LoadTokenizerRefuses, testing::ValuesIn(BadFiles()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(LoadTokenizer, RefusesAddedTokensThatNormalizeAlike) {
  TokenizerFile file;
  file.normalizer = R"({"type":"NFC"})";
  file.added_tokens = absl::StrCat("[", AddedTokenJson(6, "\\u00e9", "normalized"), ",",
                                   AddedTokenJson(7, "e\\u0301", "normalized"), "]");
  const auto tokenizer = Load(file.Json());
  EXPECT_TRUE(absl::IsInvalidArgument(tokenizer.status()));
  EXPECT_THAT(std::string(tokenizer.status().message()), HasSubstr("tokenizer.json: added_tokens"));
}

TEST(LoadTokenizer, RefusesFilesThatAreNotJson) {
  for (const char* text : {"", "{", "[]", "null", "{\"model\":1}", "{\"version\":\"2.0\"}"}) {
    const auto tokenizer = Load(text);
    ASSERT_TRUE(absl::IsInvalidArgument(tokenizer.status())) << text;
    EXPECT_THAT(std::string(tokenizer.status().message()), HasSubstr("tokenizer.json")) << text;
  }
}

TEST(LoadTokenizer, RefusesABadConfigurationNamingTheField) {
  const std::string json = TokenizerFile().Json();
  struct {
    const char* config;
    const char* place;
  } const kCases[] = {
      {"{", "tokenizer_config.json"},
      {"[]", "tokenizer_config.json: must be an object"},
      {R"({"add_bos_token":1})", "tokenizer_config.json: add_bos_token: must be true or false"},
      {R"({"add_bos_token":true})", "tokenizer_config.json: has no \"bos_token\""},
      {R"({"add_bos_token":true,"bos_token":"x"})", "tokenizer_config.json: bos_token: \"x\""},
      {R"({"add_bos_token":true,"bos_token":7})", "tokenizer_config.json: bos_token: must be"},
      {R"({"add_bos_token":true,"bos_token":{}})", "tokenizer_config.json: bos_token: has no"},
  };
  for (const auto& [config, place] : kCases) {
    const auto tokenizer = Load(json, config);
    ASSERT_TRUE(absl::IsInvalidArgument(tokenizer.status())) << config;
    EXPECT_THAT(std::string(tokenizer.status().message()), HasSubstr(place)) << config;
  }
}

}  // namespace
}  // namespace ssmd
