// A template's text as tokens, by Jinja's rules of white space with trim_blocks and lstrip_blocks
// on, as Hugging Face sets them.
#ifndef SSMD_ENGINE_TEXT_JINJA_LEXER_H_
#define SSMD_ENGINE_TEXT_JINJA_LEXER_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace ssmd::jinja {

struct Token {
  enum class Kind : unsigned char {
    kData,
    kOutputBegin,  // {{
    kOutputEnd,
    kTagBegin,  // {%
    kTagEnd,
    kName,
    kString,
    kInteger,
    kFloat,
    kOperator,
    kEnd,
  };
  Kind kind = Kind::kEnd;
  int line = 1;
  std::string text;  // of strings, what they stand for

  bool Is(Kind wanted, std::string_view wanted_text) const {
    return kind == wanted && text == wanted_text;
  }
};

// The last token is kEnd. INVALID_ARGUMENT names the line. REQUIRES: source is UTF-8.
absl::StatusOr<std::vector<Token>> Tokenize(std::string_view source);

absl::Status ErrorInLine(int line, std::string_view problem);

}  // namespace ssmd::jinja

#endif  // SSMD_ENGINE_TEXT_JINJA_LEXER_H_
