// Token ids and decoded texts as Hugging Face tokenizers has them
// (tests/reference/make_tokenizer_golden.py).
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/formats/json.h"
#include "engine/text/detokenizer.h"
#include "engine/text/tokenizer.h"
#include "tests/unit/text/tokenizer_files.h"

namespace ssmd {
namespace {

std::vector<int32_t> Ids(JsonValue value) {
  std::vector<int32_t> ids;
  for (const JsonValue id : value.elements()) ids.push_back(static_cast<int32_t>(*id.AsInt()));
  return ids;
}

void CheckEncode(const Tokenizer& tokenizer, JsonValue cases) {
  ASSERT_FALSE(cases.elements().empty());
  for (const JsonValue entry : cases.elements()) {
    const JsonArray columns = entry.elements();
    const std::string_view text = *columns[0].AsString();
    SCOPED_TRACE(testing::PrintToString(std::string(text)));
    const auto ids = tokenizer.Encode(text, {});
    ASSERT_TRUE(ids.ok()) << ids.status();
    EXPECT_EQ(*ids, Ids(columns[1]));
    const auto special = tokenizer.Encode(text, {.parse_special = true});
    ASSERT_TRUE(special.ok()) << special.status();
    EXPECT_EQ(*special, Ids(columns[columns.size() - 1]));
  }
}

void CheckDecode(const Tokenizer& tokenizer, JsonValue cases) {
  ASSERT_FALSE(cases.elements().empty());
  for (const JsonValue entry : cases.elements()) {
    Detokenizer detokenizer;
    std::string text;
    for (const int32_t id : Ids(entry.elements()[0])) {
      text += detokenizer.Push(tokenizer.TokenBytes(id));
    }
    text += detokenizer.Flush();
    EXPECT_EQ(text, *entry.elements()[1].AsString());
  }
}

void CheckGolden(const std::string& name, const std::string& folder, bool decode = true) {
  const auto tokenizer = LoadTokenizer(folder);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto golden = JsonDocument::ParseFile(std::string(SSMD_TEXT_DATA "/") + name + ".json", {});
  ASSERT_TRUE(golden.ok()) << golden.status();
  CheckEncode(**tokenizer, *golden->root().Find("encode"));
  if (decode) CheckDecode(**tokenizer, *golden->root().Find("decode"));
}

class TokenizerGolden : public testing::TestWithParam<const char*> {};

TEST_P(TokenizerGolden, EqualsHuggingFace) {
  CheckGolden(GetParam(), std::string(SSMD_TEXT_DATA "/") + GetParam());
}

INSTANTIATE_TEST_SUITE_P(Synthetic, TokenizerGolden,
                         testing::Values("prefix-space", "no-regex", "llama3", "falcon", "digits",
                                         "removed", "inverted", "merged-with-previous",
                                         "merged-with-next"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::erase(name, '-');
                           return name;
                         });

// Not decoded: Hugging Face reads the added token "Ün" in the byte alphabet, where Ü is the byte
// DC.
TEST(TokenizerGolden, FeaturesEqualHuggingFace) {
  CheckGolden("features", SSMD_TEXT_DATA "/features", /*decode=*/false);
}

TEST(TokenizerGolden, BundledModelEqualsHuggingFace) { CheckGolden("tales-2m", SSMD_TALES_MODEL); }

TEST(TokenizerGolden, GptNeoX20bEqualsHuggingFace) {
  const char* const data = std::getenv("SSMD_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "SSMD_TEST_DATA is not set";
  const std::string file = std::string(data) + "/tokenizers/20B_tokenizer.json";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no tokenizers/20B_tokenizer.json";
  const test::TemporaryFolder folder;
  std::filesystem::copy_file(file, folder.path() + "/tokenizer.json");
  CheckGolden("gpt-neox-20b", folder.path());
}

}  // namespace
}  // namespace ssmd
