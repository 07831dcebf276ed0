#include "engine/text/gguf_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/text/gguf_pretokenizer.h"
#include "engine/text/tokenizer.h"
#include "tests/support/gguf_writer.h"
#include "tests/unit/text/tokenizer_files.h"

namespace ssmd {
namespace {

using test::GgufFile;
using test::GgufI32Array;
using test::GgufString;
using test::GgufStringArray;
using test::GgufU32;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// a, b, the space, their merges, a control token, a user-defined one, an unused one, a nameless id.
GgufFile TokenizerGguf() {
  GgufFile file;
  file.Set("tokenizer.ggml.model", GgufString("gpt2"));
  file.Set("tokenizer.ggml.pre", GgufString("gpt-2"));
  file.Set("tokenizer.ggml.tokens",
           GgufStringArray({"a", "b", "Ġ", "ab", "Ġab", "<s>", "  ", "[PAD7]", "", "<", "s", ">"}));
  file.Set("tokenizer.ggml.token_type", GgufI32Array({1, 1, 1, 1, 1, 3, 4, 5, 1, 1, 1, 1}));
  file.Set("tokenizer.ggml.merges", GgufStringArray({"a b", "Ġ ab"}));
  return file;
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadGguf(const GgufFile& file) {
  const test::TemporaryFolder folder;
  folder.Write("m.gguf", file.Bytes());
  return LoadTokenizer(folder.path() + "/m.gguf");
}

std::unique_ptr<Tokenizer> MustLoadGguf(const GgufFile& file) {
  auto tokenizer = LoadGguf(file);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

TEST(GgufTokenizer, EncodesAndDecodes) {
  const auto tokenizer = MustLoadGguf(TokenizerGguf());
  EXPECT_EQ(tokenizer->size(), 12);
  EXPECT_THAT(*tokenizer->Encode("ab aab", {}), ElementsAre(3, 2, 0, 3));
  EXPECT_EQ(tokenizer->TokenBytes(4), " ab");
  EXPECT_EQ(tokenizer->TokenBytes(7), "[PAD7]");
  EXPECT_EQ(tokenizer->TokenBytes(8), "");
  EXPECT_EQ(tokenizer->TokenId("ab"), 3);
  EXPECT_EQ(tokenizer->bos_to_add(), std::nullopt);
}

TEST(GgufTokenizer, ControlTokensAreTextUnlessAskedFor) {
  const auto tokenizer = MustLoadGguf(TokenizerGguf());
  EXPECT_THAT(*tokenizer->Encode("a<s>", {}), ElementsAre(0, 9, 10, 11));
  EXPECT_THAT(*tokenizer->Encode("a<s>", {.parse_special = true}), ElementsAre(0, 5));
  EXPECT_TRUE(tokenizer->IsSpecial(5));
  EXPECT_EQ(tokenizer->TokenBytes(5), "<s>");
}

TEST(GgufTokenizer, UserDefinedTokensAlwaysMatchAsTheyAreWritten) {
  const auto tokenizer = MustLoadGguf(TokenizerGguf());
  EXPECT_THAT(*tokenizer->Encode("a   ab", {}), ElementsAre(0, 6, 4));
  EXPECT_FALSE(tokenizer->IsSpecial(6));
  EXPECT_EQ(tokenizer->TokenBytes(6), "  ");
}

TEST(GgufTokenizer, TokensAreNormalWithoutTypes) {
  GgufFile file = TokenizerGguf();
  file.Remove("tokenizer.ggml.token_type");
  const auto tokenizer = MustLoadGguf(file);
  EXPECT_FALSE(tokenizer->IsSpecial(5));
  EXPECT_THAT(*tokenizer->Encode("<s>", {.parse_special = true}), ElementsAre(9, 10, 11));
}

// GGUF does not say what a model wants; llama.cpp never normalises.
TEST(GgufTokenizer, NormalisesNothing) {
  GgufFile file = TokenizerGguf();
  file.Set("tokenizer.ggml.tokens", GgufStringArray({"e", "Ì", "ģ", "Ã", "©"}));
  file.Set("tokenizer.ggml.token_type", GgufI32Array({1, 1, 1, 1, 1}));
  file.Set("tokenizer.ggml.merges", GgufStringArray({}));
  const auto tokenizer = MustLoadGguf(file);
  EXPECT_THAT(*tokenizer->Encode("e\xCC\x81", {}), ElementsAre(0, 1, 2)) << "e and an accent";
  EXPECT_THAT(*tokenizer->Encode("\xC3\xA9", {}), ElementsAre(3, 4)) << "é";
}

TEST(GgufTokenizer, AddsBosWhereTheFileSaysSo) {
  GgufFile file = TokenizerGguf();
  file.Set("tokenizer.ggml.bos_token_id", GgufU32(5));
  EXPECT_EQ(MustLoadGguf(file)->bos_to_add(), std::nullopt);
  file.Set("tokenizer.ggml.add_bos_token", test::GgufBool(1));
  EXPECT_EQ(MustLoadGguf(file)->bos_to_add(), 5);
  // Llama 3's begin so where the file says nothing.
  file.Remove("tokenizer.ggml.add_bos_token");
  file.Set("tokenizer.ggml.pre", GgufString("llama-bpe"));
  EXPECT_EQ(MustLoadGguf(file)->bos_to_add(), 5);
  file.Set("tokenizer.ggml.add_bos_token", test::GgufBool(0));
  EXPECT_EQ(MustLoadGguf(file)->bos_to_add(), std::nullopt);
}

TEST(GgufTokenizer, IsNotFoundInAFileWithoutOne) {
  GgufFile file = TokenizerGguf();
  for (const char* none : {"none", "no_vocab"}) {
    file.Set("tokenizer.ggml.model", GgufString(none));
    EXPECT_TRUE(absl::IsNotFound(LoadGguf(file).status())) << none;
  }
  file.Remove("tokenizer.ggml.model");
  EXPECT_TRUE(absl::IsNotFound(LoadGguf(file).status()));
}

// --- pre-tokenizers ------------------------------------------------------------------------------

std::vector<std::string> PiecesOf(const char* pre, std::string_view text) {
  auto made = MakeGgufPreTokenizer(pre);
  EXPECT_TRUE(made.has_value()) << pre;
  const PreTokenizer pre_tokenizer(std::move(made->stages));
  MatchBudget budget(text.size());
  Pieces pieces;
  EXPECT_TRUE(pre_tokenizer.Split(text, &budget, &pieces).ok());
  std::vector<std::string> result;
  size_t begin = 0;
  for (const size_t end : pieces.ends) {
    result.push_back(pieces.bytes.substr(begin, end - begin));
    begin = end;
  }
  return result;
}

TEST(GgufPreTokenizer, CutsAsLlamaCppDoes) {
  const std::string text = "I'LL pay $1234, ok?!\n\n  x";
  for (const char* pre : {"gpt-2", "mpt", "olmo", "default", "phi-2", "jais", "trillion"}) {
    EXPECT_THAT(PiecesOf(pre, text),
                ElementsAre("I", "'", "LL", " pay", " $", "1234", ",", " ok", "?!", "\n\n ", " x"))
        << pre;
  }
  for (const char* pre :
       {"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b"}) {
    EXPECT_THAT(PiecesOf(pre, text), ElementsAre("I", "'", "LL", " pay", " $", "1", "2", "3", "4",
                                                 ",", " ok", "?!", "\n\n ", " x"))
        << pre;
  }
  EXPECT_THAT(PiecesOf("falcon", text), ElementsAre("I", "'", "LL", " pay", " ", "$", "123", "4",
                                                    ",", " ok", "?!", "\n\n ", " x"));
  for (const char* pre : {"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1"}) {
    EXPECT_THAT(PiecesOf(pre, text),
                ElementsAre("I", "'LL", " pay", " $", "123", "4", ",", " ok", "?!\n\n", " ", " x"))
        << pre;
  }
  for (const char* pre : {"qwen2", "stablelm2"}) {
    EXPECT_THAT(PiecesOf(pre, text), ElementsAre("I", "'LL", " pay", " $", "1", "2", "3", "4", ",",
                                                 " ok", "?!\n\n", " ", " x"))
        << pre;
  }
}

TEST(GgufPreTokenizer, LetsAWholePieceBeATokenForLlama3Alone) {
  EXPECT_TRUE(MakeGgufPreTokenizer("llama-bpe")->ignore_merges);
  EXPECT_FALSE(MakeGgufPreTokenizer("gpt-2")->ignore_merges);
  EXPECT_FALSE(MakeGgufPreTokenizer("qwen2")->ignore_merges);
  EXPECT_FALSE(MakeGgufPreTokenizer("unheard-of").has_value());
}

// Files from before there were names.
TEST(GgufTokenizer, TakesGpt2sPatternWithoutAName) {
  GgufFile file = TokenizerGguf();
  file.Remove("tokenizer.ggml.pre");
  EXPECT_THAT(*MustLoadGguf(file)->Encode(" ab", {}), ElementsAre(4));
}

// --- what is refused -----------------------------------------------------------------------------

struct BadTokenizer {
  const char* name;
  std::function<void(GgufFile*)> change;
  const char* error;
};

class GgufTokenizerRefuses : public testing::TestWithParam<BadTokenizer> {};

TEST_P(GgufTokenizerRefuses, NamingTheKey) {
  GgufFile file = TokenizerGguf();
  GetParam().change(&file);
  const absl::Status status = LoadGguf(file).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(testing::StartsWith("m.gguf: tokenizer.ggml."), HasSubstr(GetParam().error)));
}

std::string LongToken() { return std::string(kMaxAddedTokenBytes + 1, 'x'); }

INSTANTIATE_TEST_SUITE_P(
    All, GgufTokenizerRefuses,
    testing::Values(
        BadTokenizer{"SentencePiece",
                     [](GgufFile* f) { f->Set("tokenizer.ggml.model", GgufString("llama")); },
                     "model \"llama\" is not supported; \"gpt2\""},
        BadTokenizer{"Rwkv",
                     [](GgufFile* f) { f->Set("tokenizer.ggml.model", GgufString("rwkv")); },
                     "model \"rwkv\" is not supported"},
        BadTokenizer{"ModelANumber",
                     [](GgufFile* f) { f->Set("tokenizer.ggml.model", GgufU32(1)); },
                     "model must be a string, got 1"},
        BadTokenizer{"UnknownPre",
                     [](GgufFile* f) { f->Set("tokenizer.ggml.pre", GgufString("tekken")); },
                     "pre \"tekken\" is not supported; these are: command-r, codeshell, default"},
        BadTokenizer{"NoTokens", [](GgufFile* f) { f->Remove("tokenizer.ggml.tokens"); },
                     "tokens is missing"},
        BadTokenizer{"EmptyTokens",
                     [](GgufFile* f) { f->Set("tokenizer.ggml.tokens", GgufStringArray({})); },
                     "tokens has 0 elements"},
        BadTokenizer{"TokensOfNumbers",
                     [](GgufFile* f) { f->Set("tokenizer.ggml.tokens", GgufI32Array({1})); },
                     "tokens must be an array of strings, got an array of 1 i32"},
        BadTokenizer{"TokenTwice",
                     [](GgufFile* f) {
                       f->Set("tokenizer.ggml.tokens",
                              GgufStringArray({"a", "b", "Ġ", "ab", "Ġab", "<s>", "  ", "a", "",
                                               "<", "s", ">"}));
                     },
                     "tokens[7] \"a\" is the text of another token"},
        BadTokenizer{"TokenNotUtf8",
                     [](GgufFile* f) {
                       f->Set("tokenizer.ggml.tokens",
                              GgufStringArray({"a", "b", "Ġ", "ab", "Ġab", "<s>", "\xFF", "p", "",
                                               "<", "s", ">"}));
                     },
                     "tokens[6] is not UTF-8"},
        BadTokenizer{"LongControlToken",
                     [](GgufFile* f) {
                       f->Set("tokenizer.ggml.tokens",
                              GgufStringArray({"a", "b", "Ġ", "ab", "Ġab", LongToken(), "  ", "p",
                                               "", "<", "s", ">"}));
                     },
                     "tokens[5] is longer than 1024 bytes"},
        BadTokenizer{
            "FewerTypesThanTokens",
            [](GgufFile* f) {
              f->Set("tokenizer.ggml.token_type", GgufI32Array({1, 1}));
            },
            "token_type must be an array of 12, as many as there are tokens, got an array"},
        BadTokenizer{"TypesNoArray",
                     [](GgufFile* f) { f->Set("tokenizer.ggml.token_type", GgufU32(1)); },
                     "token_type must be an array of 12"},
        BadTokenizer{"ByteType",
                     [](GgufFile* f) {
                       f->Set("tokenizer.ggml.token_type",
                              GgufI32Array({1, 1, 6, 1, 1, 3, 4, 5, 1, 1, 1, 1}));
                     },
                     "token_type[2] must be a whole number in [1, 5], got 6"},
        BadTokenizer{"TypesOfStrings",
                     [](GgufFile* f) {
                       f->Set("tokenizer.ggml.token_type",
                              GgufStringArray(std::vector<std::string>(12, "1")));
                     },
                     "token_type[0] must be a whole number in [1, 5]"},
        BadTokenizer{"NoMerges", [](GgufFile* f) { f->Remove("tokenizer.ggml.merges"); },
                     "merges is missing"},
        BadTokenizer{"MergeOfOne",
                     [](GgufFile* f) {
                       f->Set("tokenizer.ggml.merges", GgufStringArray({"a b", "ab"}));
                     },
                     "merges[1] must be two tokens, not \"ab\""},
        BadTokenizer{
            "MergeOfThree",
            [](GgufFile* f) { f->Set("tokenizer.ggml.merges", GgufStringArray({"a b Ġ"})); },
            "merges[0] must be two tokens"},
        BadTokenizer{"MergeOfNoToken",
                     [](GgufFile* f) { f->Set("tokenizer.ggml.merges", GgufStringArray({"b a"})); },
                     "merges[0] \"ba\" is not a token of the vocabulary"},
        BadTokenizer{"AddBosANumber",
                     [](GgufFile* f) { f->Set("tokenizer.ggml.add_bos_token", GgufU32(1)); },
                     "add_bos_token must be a bool, got 1"},
        BadTokenizer{"NoBosToAdd",
                     [](GgufFile* f) { f->Set("tokenizer.ggml.add_bos_token", test::GgufBool(1)); },
                     "bos_token_id is missing"},
        // GHSA-7rxv-5jhh-j6xx's class: a number that is cast to a token id.
        BadTokenizer{"BosThatACastMakesMinusOne",
                     [](GgufFile* f) {
                       f->Set("tokenizer.ggml.add_bos_token", test::GgufBool(1));
                       f->Set("tokenizer.ggml.bos_token_id", GgufU32(0xFFFFFFFF));
                     },
                     "bos_token_id must be a token id in [0, 12), got 4294967295"},
        BadTokenizer{"BosThatACastMakesValid",
                     [](GgufFile* f) {
                       f->Set("tokenizer.ggml.add_bos_token", test::GgufBool(1));
                       f->Set("tokenizer.ggml.bos_token_id",
                              test::GgufU64((uint64_t{1} << 32) + 5));
                     },
                     "bos_token_id must be a token id in [0, 12), got 4294967301"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(GgufTokenizer, BoundsTheNumberOfTokens) {
  GgufFile file = TokenizerGguf();
  const uint64_t count = uint64_t{kMaxTokenIds} + 1;
  file.Set("tokenizer.ggml.tokens", test::GgufArray(8, count, std::string(count * 8, '\0')));
  EXPECT_THAT(std::string(LoadGguf(file).status().message()),
              HasSubstr("tokens has 4194305 elements: not in [1, 4194304]"));
}

}  // namespace
}  // namespace ssmd
