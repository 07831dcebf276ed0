// Tokenizers of Hugging Face's kind, put into GGUF as llama.cpp's converter does: the token ids of
// tokenizer.json.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/formats/json.h"
#include "engine/text/nfc.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizer_json.h"
#include "tests/support/gguf_writer.h"
#include "tests/unit/text/tokenizer_files.h"

namespace ssmd {
namespace {

// The tokenizer of a tokenizer.json with another spelling.
test::GgufFile ToGguf(const std::string& tokenizer_json, const std::string& pre) {
  const auto document = JsonDocument::ParseFile(tokenizer_json, kTokenizerJsonLimits);
  EXPECT_TRUE(document.ok()) << document.status();
  std::map<int64_t, std::string> tokens;
  std::map<int64_t, int32_t> kinds;
  const JsonValue model = *document->root().Find("model");
  for (const auto& [text, id] : model.Find("vocab")->members()) {
    tokens[*id.AsInt()] = std::string(text);
  }
  for (const JsonValue added : document->root().Find("added_tokens")->elements()) {
    const int64_t id = *added.Find("id")->AsInt();
    tokens[id] = std::string(*added.Find("content")->AsString());
    kinds[id] = *added.Find("special")->AsBool() ? 3 : 4;
  }
  std::vector<std::string> texts(static_cast<size_t>(tokens.rbegin()->first) + 1);
  std::vector<int32_t> types(texts.size(), 1);
  for (const auto& [id, text] : tokens) texts[static_cast<size_t>(id)] = text;
  for (const auto& [id, kind] : kinds) types[static_cast<size_t>(id)] = kind;
  std::vector<std::string> merges;
  for (const JsonValue merge : model.Find("merges")->elements()) {
    const auto line = merge.AsString();
    merges.push_back(line ? std::string(*line)
                          : std::string(*merge.elements()[0].AsString()) + " " +
                                std::string(*merge.elements()[1].AsString()));
  }
  test::GgufFile file;
  file.Set("tokenizer.ggml.model", test::GgufString("gpt2"));
  file.Set("tokenizer.ggml.pre", test::GgufString(pre));
  file.Set("tokenizer.ggml.tokens", test::GgufStringArray(texts));
  file.Set("tokenizer.ggml.token_type", test::GgufI32Array(types));
  file.Set("tokenizer.ggml.merges", test::GgufStringArray(merges));
  file.Set("tokenizer.ggml.add_bos_token", test::GgufBool(0));
  return file;
}

std::unique_ptr<Tokenizer> LoadGgufBytes(const std::string& bytes) {
  const test::TemporaryFolder folder;
  folder.Write("m.gguf", bytes);
  auto tokenizer = LoadTokenizer(folder.path() + "/m.gguf");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

// The golden texts of `name`: its ids as Hugging Face has them, where the text is NFC (see
// engine/text/gguf_tokenizer.h). Returns how many were compared.
int CompareGoldenTexts(const Tokenizer& tokenizer, const std::string& name) {
  const auto golden = JsonDocument::ParseFile(std::string(SSMD_TEXT_DATA "/") + name + ".json", {});
  EXPECT_TRUE(golden.ok()) << golden.status();
  int compared = 0;
  for (const JsonValue entry : golden->root().Find("encode")->elements()) {
    const JsonArray columns = entry.elements();
    const std::string text(*columns[0].AsString());
    if (NormalizeNfc(text) != text) continue;
    ++compared;
    for (const bool parse_special : {false, true}) {
      const JsonValue expected = columns[parse_special ? columns.size() - 1 : 1];
      std::vector<int32_t> ids;
      for (const JsonValue id : expected.elements()) {
        ids.push_back(static_cast<int32_t>(*id.AsInt()));
      }
      const auto actual = tokenizer.Encode(text, {.parse_special = parse_special});
      EXPECT_TRUE(actual.ok()) << actual.status();
      if (actual.ok()) {
        EXPECT_EQ(*actual, ids) << testing::PrintToString(text);
      }
    }
  }
  return compared;
}

TEST(GgufTokenizerGolden, EqualsHuggingFaceForThePreTokenizersOfTheSameName) {
  const struct {
    const char* name;
    const char* pre;
  } kCases[] = {{"llama3", "llama-bpe"}, {"falcon", "falcon"}, {"digits", "starcoder"}};
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.name);
    const std::string json = absl::StrCat(SSMD_TEXT_DATA, "/", c.name, "/tokenizer.json");
    const auto tokenizer = LoadGgufBytes(ToGguf(json, c.pre).Bytes());
    ASSERT_NE(tokenizer, nullptr);
    EXPECT_GT(CompareGoldenTexts(*tokenizer, c.name), 50);
  }
}

TEST(GgufTokenizerGolden, EqualsHuggingFaceForTheBundledModel) {
  const auto tokenizer = LoadGgufBytes(ToGguf(SSMD_TALES_MODEL "/tokenizer.json", "gpt-2").Bytes());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_GT(CompareGoldenTexts(*tokenizer, "tales-2m"), 50);
}

// llama.cpp's vocabulary of GPT-NeoX went through a conversion of text on its way here: bytes from
// 0x80 on that were not UTF-8 became U+FFFD. All of them are in numbers: the epsilon, three counts,
// and the lengths of strings of 128 bytes and more, which the texts behind them tell.
std::string RepairVocabulary(std::string file) {
  const std::string lost = "\xEF\xBF\xBD";
  const auto plausible = [&](size_t at) {  // a length, before a string, before a length
    const auto length_at = [&](size_t i) { return GetLittleEndian<uint64_t>(&file[i]); };
    if (at + 8 > file.size() || length_at(at) >= 1024) return false;
    const size_t next = at + 8 + length_at(at);
    return next == file.size() || (next + 8 <= file.size() && length_at(next) < 1024);
  };
  // From the back, so that what follows a length is whole.
  for (size_t at = file.rfind(lost); at != std::string::npos; at = file.rfind(lost, at)) {
    const char before = file[at - 1];
    const char behind = file[at + 3];
    char found = '\0';
    if (behind == '\'') {
      found = '\xC5';  // 1e-5: AC C5 27 37
    } else if (behind == '\xC5') {
      found = '\xAC';
    } else if (before == 'Y') {
      found = '\xC3';  // 50,009 merges
    } else if (before == '\0') {
      found = '\xC5';  // 50,432 tokens, and their types
    } else {
      const size_t text = at + lost.size() + 7;
      size_t end = file.find('\0', text) - 1;  // the next length's first byte, or its second
      if (!plausible(end)) --end;
      EXPECT_EQ((end - text) >> 8, static_cast<unsigned char>(behind));
      found = static_cast<char>(end - text);
    }
    file.replace(at, lost.size(), 1, found);
  }
  return file;
}

class GptNeoXGguf : public testing::Test {
 protected:
  void SetUp() override {
    const char* const data = std::getenv("SSMD_TEST_DATA");
    if (data == nullptr) GTEST_SKIP() << "SSMD_TEST_DATA is not set";
    json_ = std::string(data) + "/tokenizers/20B_tokenizer.json";
    gguf_ = std::string(data) + "/tokenizers/ggml-vocab-gpt-neox.gguf";
    for (const std::string& file : {json_, gguf_}) {
      if (!std::filesystem::exists(file)) GTEST_SKIP() << "no " << file;
    }
  }
  std::string ReadVocabulary() const {
    std::ifstream in(gguf_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }

  std::string json_;
  std::string gguf_;
};

TEST_F(GptNeoXGguf, EqualsTokenizerJson) {
  std::string bytes = ReadVocabulary();
  if (bytes.find("\xEF\xBF\xBD") != std::string::npos) bytes = RepairVocabulary(bytes);
  const auto tokenizer = LoadGgufBytes(bytes);
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_GT(CompareGoldenTexts(*tokenizer, "gpt-neox-20b"), 50);

  const test::TemporaryFolder folder;
  std::filesystem::copy_file(json_, folder.path() + "/tokenizer.json");
  const auto same = LoadTokenizer(folder.path());
  ASSERT_TRUE(same.ok()) << same.status();
  for (int32_t id = 0; id < (*same)->size(); ++id) {
    ASSERT_EQ(tokenizer->TokenBytes(id), (*same)->TokenBytes(id)) << id;
    ASSERT_EQ(tokenizer->IsSpecial(id), (*same)->IsSpecial(id)) << id;
  }
}

TEST_F(GptNeoXGguf, EqualsTokenizerJsonPutIntoGguf) {
  const auto tokenizer = LoadGgufBytes(ToGguf(json_, "mpt").Bytes());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_GT(CompareGoldenTexts(*tokenizer, "gpt-neox-20b"), 50);
}

}  // namespace
}  // namespace ssmd
