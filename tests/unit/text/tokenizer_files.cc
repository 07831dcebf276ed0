#include "tests/unit/text/tokenizer_files.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace ssmd::test {

std::string TokenizerFile::Json() const {
  return absl::StrCat(R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":)",
                      added_tokens, R"(,"normalizer":)", normalizer, R"(,"pre_tokenizer":)",
                      pre_tokenizer, R"(,"post_processor":)", post_processor, R"(,"decoder":)",
                      decoder, R"(,"model":{"type":"BPE",)", model_options, R"("vocab":)",
                      vocabulary, R"(,"merges":)", merges, "}}");
}

std::string AddedTokenJson(int id, std::string_view content, std::string_view flags) {
  std::string json = absl::StrCat("{\"id\":", id, ",\"content\":\"",
                                  absl::string_view(content.data(), content.size()), "\"");
  for (const std::string_view flag : {"special", "normalized", "single_word", "lstrip", "rstrip"}) {
    const bool on = flags.find(flag) != std::string_view::npos;
    absl::StrAppend(&json, ",\"", absl::string_view(flag.data(), flag.size()),
                    "\":", on ? "true" : "false");
  }
  return json + "}";
}

TemporaryFolder::TemporaryFolder() {
  path_ = (std::filesystem::temp_directory_path() / "ssmd_text_XXXXXX").string();
  EXPECT_NE(mkdtemp(path_.data()), nullptr);
}

TemporaryFolder::~TemporaryFolder() { std::filesystem::remove_all(path_); }

void TemporaryFolder::Write(const std::string& name, std::string_view contents) const {
  std::ofstream file(path_ + "/" + name, std::ios::binary);
  file.write(contents.data(), static_cast<std::streamsize>(contents.size()));
  EXPECT_TRUE(file.good());
}

absl::StatusOr<std::unique_ptr<Tokenizer>> Load(std::string_view tokenizer_json,
                                                std::string_view config_json) {
  const TemporaryFolder folder;
  folder.Write("tokenizer.json", tokenizer_json);
  if (!config_json.empty()) folder.Write("tokenizer_config.json", config_json);
  return LoadTokenizer(folder.path());
}

}  // namespace ssmd::test
