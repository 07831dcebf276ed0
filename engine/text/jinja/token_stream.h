// Tokens one after the other, with what the parsers have in common: how deep they are, and what a
// template names.
#ifndef SSMD_ENGINE_TEXT_JINJA_TOKEN_STREAM_H_
#define SSMD_ENGINE_TEXT_JINJA_TOKEN_STREAM_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/text_view.h"
#include "engine/text/jinja/lexer.h"
#include "engine/text/jinja/parser.h"

namespace ssmd::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& Peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  Token Next() {
    const Token token = Peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool SeesName(std::string_view name) const { return Peek().Is(Token::Kind::kName, name); }
  bool SeesOperator(std::string_view text) const { return Peek().Is(Token::Kind::kOperator, text); }
  bool SkipName(std::string_view name) { return SeesName(name) && (Next(), true); }
  bool SkipOperator(std::string_view text) { return SeesOperator(text) && (Next(), true); }

  absl::Status ExpectOperator(std::string_view text) {
    if (SkipOperator(text)) return absl::OkStatus();
    return Unexpected(absl::StrCat("'", View(text), "'"));
  }
  absl::Status ExpectName(std::string_view name) {
    if (SkipName(name)) return absl::OkStatus();
    return Unexpected(absl::StrCat("'", View(name), "'"));
  }
  absl::Status Expect(Token::Kind kind, std::string_view what) {
    if (Peek().kind != kind) return Unexpected(what);
    Next();
    return absl::OkStatus();
  }

  absl::Status Error(std::string_view problem) const { return ErrorInLine(Peek().line, problem); }
  absl::Status Unexpected(std::string_view wanted) const {
    const Token& token = Peek();
    const bool named = token.kind == Token::Kind::kName || token.kind == Token::Kind::kOperator;
    return Error(absl::StrCat(View(wanted), " is expected",
                              named ? absl::StrCat(", not '", token.text, "'") : ""));
  }

  // What the template assigns to, and calls by name, for the check at its end.
  absl::flat_hash_set<std::string> assigned;
  std::vector<std::pair<int, std::string>> called;
  std::vector<std::pair<int, std::string>> methods;
  std::vector<std::string> literals;
  int depth = 0;

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

// One level of nesting, from its making to its end.
class Nested {
 public:
  explicit Nested(TokenStream* stream) : stream_(stream) { ++stream_->depth; }
  ~Nested() { --stream_->depth; }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

  absl::Status Check() const {
    if (stream_->depth <= kMaxNesting) return absl::OkStatus();
    return stream_->Error(absl::StrCat("nested deeper than ", kMaxNesting));
  }

 private:
  TokenStream* stream_;
};

}  // namespace ssmd::jinja

#endif  // SSMD_ENGINE_TEXT_JINJA_TOKEN_STREAM_H_
