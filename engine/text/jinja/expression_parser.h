// Expressions, by Jinja's precedence, lowest first: conditional; or; and; not; comparisons and in;
// + and -; ~; *, /, // and %; **; signs; postfixes, filters and tests.
#ifndef SSMD_ENGINE_TEXT_JINJA_EXPRESSION_PARSER_H_
#define SSMD_ENGINE_TEXT_JINJA_EXPRESSION_PARSER_H_

#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/text/jinja/syntax.h"
#include "engine/text/jinja/token_stream.h"

namespace ssmd::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream* stream) : stream_(*stream) {}

  absl::StatusOr<ExprPtr> ParseExpression(bool conditional = true);
  // Several, with commas between them, are a tuple. `end`: a name that ends it, too.
  absl::StatusOr<ExprPtr> ParseTuple(bool conditional, std::string_view end = {});
  // A filter and those behind it, for blocks: without input, the first one's bar being optional.
  absl::StatusOr<std::vector<ExprPtr>> ParseFilters(bool starts_with_name);

 private:
  using Result = absl::StatusOr<ExprPtr>;

  Result ParseConditional();
  Result ParseOr();
  Result ParseAnd();
  Result ParseNot();
  Result ParseComparison();
  std::optional<Comparison> ReadComparison();
  Result ParseSum();
  Result ParseConcatenation();
  Result ParseProduct();
  Result ParsePower();
  Result ParseUnary(bool with_filters);
  Result ParsePrimary();
  Result ParseLiteral();
  Result ParseList();
  Result ParseDict();
  Result ParsePostfix(ExprPtr expr);
  Result ParseFilterOrTest(ExprPtr expr);
  Result ParseSubscript(ExprPtr object);
  Result ParseCall(ExprPtr callee);
  Result ParseFilter(ExprPtr input);
  Result ParseTest(ExprPtr input);
  absl::StatusOr<Arguments> ParseArguments();

  template <typename Node>
  Result Make(int line, Node node);

  TokenStream& stream_;
};

}  // namespace ssmd::jinja

#endif  // SSMD_ENGINE_TEXT_JINJA_EXPRESSION_PARSER_H_
