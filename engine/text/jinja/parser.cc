#include "engine/text/jinja/parser.h"

#include <initializer_list>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status_macros.h"
#include "engine/text/jinja/expression_parser.h"
#include "engine/text/jinja/token_stream.h"

namespace ssmd::jinja {
namespace {

class StatementParser {
 public:
  explicit StatementParser(TokenStream* stream) : stream_(*stream), expressions_(stream) {}

  // Up to a tag of `ends`, which is left to be read; without any, up to the template's end.
  absl::StatusOr<Body> ParseBody(std::initializer_list<std::string_view> ends);
  absl::Status CheckCalls() const;

 private:
  using Result = absl::StatusOr<Statement>;

  // What stands in a tag from its name on, with its end.
  Result ParseStatement();
  Result ParseIf(int line);
  Result ParseFor(int line);
  Result ParseSet(int line);
  Result ParseMacro(int line);
  Result ParseCallBlock(int line);
  Result ParseFilterBlock(int line);
  Result ParseWith(int line);
  Result ParseGeneration(int line);
  Result ParseLoopControl(int line, bool breaks);
  absl::StatusOr<Target> ParseTarget(bool with_namespace);
  absl::StatusOr<Target> ParseOneTarget(bool with_namespace);
  absl::StatusOr<std::vector<Parameter>> ParseParameters();
  // The rest of a tag, then a body, then the tag that ends it.
  absl::StatusOr<Body> ParseBlock(std::string_view end);
  absl::Status EndTag() { return stream_.Expect(Token::Kind::kTagEnd, "the end of the tag"); }

  TokenStream& stream_;
  ExpressionParser expressions_;
  int loops_ = 0;  // around the present place, within its macro
};

absl::StatusOr<Body> StatementParser::ParseBody(std::initializer_list<std::string_view> ends) {
  const Nested nested(&stream_);
  SSMD_RETURN_IF_ERROR(nested.Check());
  Body body;
  for (;;) {
    const Token token = stream_.Peek();
    if (token.kind == Token::Kind::kEnd) {
      if (ends.size() == 0) return body;
      return stream_.Error(absl::StrCat("the template ends without ", View(*(ends.end() - 1))));
    }
    stream_.Next();
    if (token.kind == Token::Kind::kData) {
      stream_.literals.push_back(token.text);
      body.push_back({token.line, Data{token.text}});
    } else if (token.kind == Token::Kind::kOutputBegin) {
      SSMD_ASSIGN_OR_RETURN(ExprPtr value, expressions_.ParseTuple(true));
      SSMD_RETURN_IF_ERROR(stream_.Expect(Token::Kind::kOutputEnd, "the end of what is written"));
      body.push_back({token.line, Output{std::move(value)}});
    } else {
      for (const std::string_view end : ends) {
        if (stream_.SeesName(end)) return body;
      }
      SSMD_ASSIGN_OR_RETURN(Statement statement, ParseStatement());
      body.push_back(std::move(statement));
    }
  }
}

StatementParser::Result StatementParser::ParseStatement() {
  const Token tag = stream_.Peek();
  SSMD_RETURN_IF_ERROR(stream_.Expect(Token::Kind::kName, "a tag's name"));
  if (tag.text == "if") return ParseIf(tag.line);
  if (tag.text == "for") return ParseFor(tag.line);
  if (tag.text == "set") return ParseSet(tag.line);
  if (tag.text == "macro") return ParseMacro(tag.line);
  if (tag.text == "call") return ParseCallBlock(tag.line);
  if (tag.text == "filter") return ParseFilterBlock(tag.line);
  if (tag.text == "with") return ParseWith(tag.line);
  if (tag.text == "generation") return ParseGeneration(tag.line);
  if (tag.text == "break") return ParseLoopControl(tag.line, true);
  if (tag.text == "continue") return ParseLoopControl(tag.line, false);
  return ErrorInLine(tag.line, absl::StrCat("the tag '", tag.text, "' is unknown or out of place"));
}

absl::StatusOr<Body> StatementParser::ParseBlock(std::string_view end) {
  SSMD_RETURN_IF_ERROR(EndTag());
  SSMD_ASSIGN_OR_RETURN(Body body, ParseBody({end}));
  SSMD_RETURN_IF_ERROR(stream_.ExpectName(end));
  SSMD_RETURN_IF_ERROR(EndTag());
  return body;
}

StatementParser::Result StatementParser::ParseIf(int line) {
  If node;
  for (;;) {
    SSMD_ASSIGN_OR_RETURN(ExprPtr condition, expressions_.ParseTuple(false));
    SSMD_RETURN_IF_ERROR(EndTag());
    SSMD_ASSIGN_OR_RETURN(Body body, ParseBody({"elif", "else", "endif"}));
    node.branches.emplace_back(std::move(condition), std::move(body));
    if (!stream_.SkipName("elif")) break;
  }
  if (stream_.SkipName("else")) {
    SSMD_RETURN_IF_ERROR(EndTag());
    SSMD_ASSIGN_OR_RETURN(node.otherwise, ParseBody({"endif"}));
  }
  SSMD_RETURN_IF_ERROR(stream_.ExpectName("endif"));
  SSMD_RETURN_IF_ERROR(EndTag());
  return Statement{line, std::move(node)};
}

StatementParser::Result StatementParser::ParseFor(int line) {
  For node;
  SSMD_ASSIGN_OR_RETURN(node.target, ParseTarget(false));
  SSMD_RETURN_IF_ERROR(stream_.ExpectName("in"));
  SSMD_ASSIGN_OR_RETURN(node.items, expressions_.ParseTuple(false, "recursive"));
  if (stream_.SkipName("if")) {
    SSMD_ASSIGN_OR_RETURN(node.filter, expressions_.ParseExpression());
  }
  if (stream_.SeesName("recursive")) return stream_.Error("recursive loops are not supported");
  SSMD_RETURN_IF_ERROR(EndTag());
  ++loops_;
  SSMD_ASSIGN_OR_RETURN(node.body, ParseBody({"else", "endfor"}));
  --loops_;
  if (stream_.SkipName("else")) {
    SSMD_RETURN_IF_ERROR(EndTag());
    SSMD_ASSIGN_OR_RETURN(node.otherwise, ParseBody({"endfor"}));
  }
  SSMD_RETURN_IF_ERROR(stream_.ExpectName("endfor"));
  SSMD_RETURN_IF_ERROR(EndTag());
  return Statement{line, std::move(node)};
}

absl::StatusOr<Target> StatementParser::ParseOneTarget(bool with_namespace) {
  if (stream_.SkipOperator("(")) {
    const Nested nested(&stream_);
    SSMD_RETURN_IF_ERROR(nested.Check());
    SSMD_ASSIGN_OR_RETURN(Target inside, ParseTarget(with_namespace));
    SSMD_RETURN_IF_ERROR(stream_.ExpectOperator(")"));
    return inside;
  }
  Target target;
  target.name = stream_.Peek().text;
  SSMD_RETURN_IF_ERROR(stream_.Expect(Token::Kind::kName, "a name"));
  for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
    if (target.name == constant) return stream_.Error("a constant cannot be assigned to");
  }
  if (with_namespace && stream_.SkipOperator(".")) {
    target.attribute = stream_.Peek().text;
    SSMD_RETURN_IF_ERROR(stream_.Expect(Token::Kind::kName, "a name"));
  }
  stream_.assigned.insert(target.attribute.empty() ? target.name : target.attribute);
  return target;
}

absl::StatusOr<Target> StatementParser::ParseTarget(bool with_namespace) {
  SSMD_ASSIGN_OR_RETURN(Target first, ParseOneTarget(with_namespace));
  if (!stream_.SeesOperator(",")) return first;
  Target tuple;
  tuple.parts.push_back(std::move(first));
  while (stream_.SkipOperator(",")) {
    if (stream_.Peek().kind != Token::Kind::kName && !stream_.SeesOperator("(")) break;
    if (stream_.SeesName("in")) break;
    SSMD_ASSIGN_OR_RETURN(Target next, ParseOneTarget(with_namespace));
    tuple.parts.push_back(std::move(next));
  }
  return tuple;
}

StatementParser::Result StatementParser::ParseSet(int line) {
  SSMD_ASSIGN_OR_RETURN(Target target, ParseTarget(true));
  if (stream_.SkipOperator("=")) {
    Set node;
    node.target = std::move(target);
    SSMD_ASSIGN_OR_RETURN(node.value, expressions_.ParseTuple(true));
    SSMD_RETURN_IF_ERROR(EndTag());
    return Statement{line, std::move(node)};
  }
  SetBlock node;
  node.target = std::move(target);
  SSMD_ASSIGN_OR_RETURN(node.filters, expressions_.ParseFilters(false));
  SSMD_ASSIGN_OR_RETURN(node.body, ParseBlock("endset"));
  return Statement{line, std::move(node)};
}

absl::StatusOr<std::vector<Parameter>> StatementParser::ParseParameters() {
  std::vector<Parameter> parameters;
  SSMD_RETURN_IF_ERROR(stream_.ExpectOperator("("));
  while (!stream_.SeesOperator(")")) {
    Parameter parameter;
    parameter.name = stream_.Peek().text;
    SSMD_RETURN_IF_ERROR(stream_.Expect(Token::Kind::kName, "a parameter's name"));
    if (stream_.SkipOperator("=")) {
      SSMD_ASSIGN_OR_RETURN(parameter.otherwise, expressions_.ParseExpression());
    } else if (!parameters.empty() && parameters.back().otherwise != nullptr) {
      return stream_.Error("a parameter without default follows one that has one");
    }
    stream_.assigned.insert(parameter.name);
    parameters.push_back(std::move(parameter));
    if (!stream_.SkipOperator(",")) break;
  }
  SSMD_RETURN_IF_ERROR(stream_.ExpectOperator(")"));
  return parameters;
}

StatementParser::Result StatementParser::ParseMacro(int line) {
  auto macro = std::make_unique<Macro>();
  macro->name = stream_.Peek().text;
  SSMD_RETURN_IF_ERROR(stream_.Expect(Token::Kind::kName, "a macro's name"));
  stream_.assigned.insert(macro->name);
  SSMD_ASSIGN_OR_RETURN(macro->parameters, ParseParameters());
  const int loops = std::exchange(loops_, 0);
  SSMD_ASSIGN_OR_RETURN(macro->body, ParseBlock("endmacro"));
  loops_ = loops;
  return Statement{line, std::unique_ptr<const Macro>(std::move(macro))};
}

StatementParser::Result StatementParser::ParseCallBlock(int line) {
  CallBlock node;
  node.caller.name = "caller";
  if (stream_.SeesOperator("(")) {
    SSMD_ASSIGN_OR_RETURN(node.caller.parameters, ParseParameters());
  }
  SSMD_ASSIGN_OR_RETURN(node.call, expressions_.ParseExpression());
  if (!std::holds_alternative<Call>(node.call->of)) {
    return ErrorInLine(line, "the tag 'call' wants a call");
  }
  const int loops = std::exchange(loops_, 0);
  SSMD_ASSIGN_OR_RETURN(node.caller.body, ParseBlock("endcall"));
  loops_ = loops;
  return Statement{line, std::move(node)};
}

StatementParser::Result StatementParser::ParseFilterBlock(int line) {
  FilterBlock node;
  SSMD_ASSIGN_OR_RETURN(node.filters, expressions_.ParseFilters(true));
  SSMD_ASSIGN_OR_RETURN(node.body, ParseBlock("endfilter"));
  return Statement{line, std::move(node)};
}

StatementParser::Result StatementParser::ParseWith(int line) {
  With node;
  while (stream_.Peek().kind != Token::Kind::kTagEnd) {
    if (!node.variables.empty()) SSMD_RETURN_IF_ERROR(stream_.ExpectOperator(","));
    SSMD_ASSIGN_OR_RETURN(Target target, ParseOneTarget(false));
    SSMD_RETURN_IF_ERROR(stream_.ExpectOperator("="));
    SSMD_ASSIGN_OR_RETURN(ExprPtr value, expressions_.ParseExpression());
    node.variables.emplace_back(std::move(target), std::move(value));
  }
  SSMD_ASSIGN_OR_RETURN(node.body, ParseBlock("endwith"));
  return Statement{line, std::move(node)};
}

StatementParser::Result StatementParser::ParseGeneration(int line) {
  Generation node;
  SSMD_ASSIGN_OR_RETURN(node.body, ParseBlock("endgeneration"));
  return Statement{line, std::move(node)};
}

StatementParser::Result StatementParser::ParseLoopControl(int line, bool breaks) {
  if (loops_ == 0) return ErrorInLine(line, "break and continue belong into a loop");
  SSMD_RETURN_IF_ERROR(EndTag());
  if (breaks) return Statement{line, Break{}};
  return Statement{line, Continue{}};
}

absl::Status StatementParser::CheckCalls() const {
  for (const auto& [line, name] : stream_.called) {
    if (FindFunction(name) != nullptr || name == "caller" || stream_.assigned.contains(name)) {
      continue;
    }
    return ErrorInLine(line, absl::StrCat("the function '", name, "' is unknown"));
  }
  for (const auto& [line, name] : stream_.methods) {
    if (IsMethod(name) || stream_.assigned.contains(name)) continue;
    return ErrorInLine(line, absl::StrCat("the method '", name, "' is unknown"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Syntax> Parse(std::string_view source) {
  SSMD_ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(source));
  TokenStream stream(std::move(tokens));
  StatementParser parser(&stream);
  Syntax syntax;
  SSMD_ASSIGN_OR_RETURN(syntax.body, parser.ParseBody({}));
  SSMD_RETURN_IF_ERROR(parser.CheckCalls());
  syntax.literals = std::move(stream.literals);
  return syntax;
}

}  // namespace ssmd::jinja
