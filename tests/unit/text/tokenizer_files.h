// Tokenizer folders for tests: a small valid tokenizer.json, whose parts a test replaces.
#ifndef SSMD_TESTS_UNIT_TEXT_TOKENIZER_FILES_H_
#define SSMD_TESTS_UNIT_TEXT_TOKENIZER_FILES_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/tokenizer.h"

namespace ssmd::test {

// The texts of the file's parts, as JSON.
struct TokenizerFile {
  std::string vocabulary = R"({"a":0,"b":1,"Ġ":2,"ab":3,"Ġab":4,"<s>":5})";
  std::string merges = R"(["a b","Ġ ab"])";
  std::string model_options = "";  // such as R"("ignore_merges":true,)"
  std::string added_tokens = "[]";
  std::string normalizer = "null";
  std::string pre_tokenizer =
      R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true})";
  std::string post_processor = "null";
  std::string decoder = R"({"type":"ByteLevel"})";

  std::string Json() const;
};

// One element of added_tokens; `flags` names those that are true.
std::string AddedTokenJson(int id, std::string_view content, std::string_view flags);

// A folder that is removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  void Write(const std::string& name, std::string_view contents) const;

 private:
  std::string path_;
};

// LoadTokenizer of a folder with these files; without a configuration where that is empty.
absl::StatusOr<std::unique_ptr<Tokenizer>> Load(std::string_view tokenizer_json,
                                                std::string_view config_json = "");

}  // namespace ssmd::test

#endif  // SSMD_TESTS_UNIT_TEXT_TOKENIZER_FILES_H_
