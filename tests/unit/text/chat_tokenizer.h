// A tokenizer whose tokens are the printable characters of ASCII and some added ones, so that a
// test can read its ids: Shown() writes an added token as {its text}.
#ifndef SSMD_TESTS_UNIT_TEXT_CHAT_TOKENIZER_H_
#define SSMD_TESTS_UNIT_TEXT_CHAT_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "engine/text/tokenizer.h"
#include "tests/unit/text/tokenizer_files.h"

namespace ssmd::test {

inline constexpr int kChatCharacters = 96;  // space to ~, and the newline

inline std::string ChatTokenizerJson() {
  TokenizerFile file;
  file.vocabulary = "{";
  for (int i = 0; i + 1 < kChatCharacters; ++i) {
    const char c = static_cast<char>(' ' + i);
    const std::string text = c == ' '                ? "Ġ"
                             : c == '"' || c == '\\' ? std::string{'\\', c}
                                                     : std::string(1, c);
    absl::StrAppend(&file.vocabulary, "\"", text, "\":", i, ",");
  }
  absl::StrAppend(&file.vocabulary, "\"Ċ\":", kChatCharacters - 1, "}");
  file.merges = "[]";
  file.added_tokens = absl::StrCat(
      "[", AddedTokenJson(96, "<s>", "special"), ",", AddedTokenJson(97, "</s>", "special"), ",",
      AddedTokenJson(98, "<|im_start|>", "special"), ",",
      AddedTokenJson(99, "<|im_end|>", "special"), ",", AddedTokenJson(100, "<think>", ""), ",",
      AddedTokenJson(101, "<other>", ""), ",", AddedTokenJson(102, "<|user|>", "special"), "]");
  return file.Json();
}

inline std::unique_ptr<Tokenizer> MakeChatTokenizer() {
  auto tokenizer = Load(ChatTokenizerJson());
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

inline std::string Shown(const Tokenizer& tokenizer, absl::Span<const int32_t> ids) {
  std::string text;
  for (const int32_t id : ids) {
    const std::string bytes(tokenizer.TokenBytes(id));
    text += id < kChatCharacters ? bytes : "{" + bytes + "}";
  }
  return text;
}

}  // namespace ssmd::test

#endif  // SSMD_TESTS_UNIT_TEXT_CHAT_TOKENIZER_H_
