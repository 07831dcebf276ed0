// From a template's text to its tree. What Jinja has and this engine has not (includes, blocks,
// line statements, recursive loops, unknown filters, tests, functions and methods) is an error that
// names the line, so that a model's template fails when it is read and not in somebody's request.
#ifndef SSMD_ENGINE_TEXT_JINJA_PARSER_H_
#define SSMD_ENGINE_TEXT_JINJA_PARSER_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/jinja/syntax.h"

namespace ssmd::jinja {

// Of expressions and statements within each other.
inline constexpr int kMaxNesting = 150;

struct Syntax {
  Body body;
  // Every text that is written in the template, outside of tags and as strings in them.
  std::vector<std::string> literals;
};

// INVALID_ARGUMENT names the line. REQUIRES: source is UTF-8.
absl::StatusOr<Syntax> Parse(std::string_view source);

}  // namespace ssmd::jinja

#endif  // SSMD_ENGINE_TEXT_JINJA_PARSER_H_
