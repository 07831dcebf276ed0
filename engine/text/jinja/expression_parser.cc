#include "engine/text/jinja/expression_parser.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "engine/base/status_macros.h"

namespace ssmd::jinja {
namespace {

using Kind_ = Token::Kind;

// The height of a node above its children.
class Height {
 public:
  Height& Above(const ExprPtr& child) {
    if (child != nullptr) height_ = std::max(height_, child->height + 1);
    return *this;
  }
  Height& Above(const std::vector<ExprPtr>& children) {
    for (const ExprPtr& child : children) Above(child);
    return *this;
  }
  Height& Above(const Arguments& arguments) {
    Above(arguments.positional);
    for (const auto& [name, value] : arguments.named) Above(value);
    return *this;
  }
  int value() const { return height_; }

 private:
  int height_ = 1;
};

int HeightOf(const Literal&) { return 1; }
int HeightOf(const Name&) { return 1; }
int HeightOf(const SequenceLiteral& node) { return Height().Above(node.items).value(); }
int HeightOf(const DictLiteral& node) {
  Height height;
  for (const auto& [key, value] : node.members) height.Above(key).Above(value);
  return height.value();
}
int HeightOf(const Unary& node) { return Height().Above(node.operand).value(); }
int HeightOf(const Binary& node) { return Height().Above(node.left).Above(node.right).value(); }
int HeightOf(const Concatenation& node) { return Height().Above(node.parts).value(); }
int HeightOf(const ComparisonChain& node) {
  Height height;
  height.Above(node.first);
  for (const auto& [comparison, operand] : node.rest) height.Above(operand);
  return height.value();
}
int HeightOf(const Logic& node) { return Height().Above(node.left).Above(node.right).value(); }
int HeightOf(const Conditional& node) {
  return Height().Above(node.condition).Above(node.then).Above(node.otherwise).value();
}
int HeightOf(const Attribute& node) { return Height().Above(node.object).value(); }
int HeightOf(const Item& node) { return Height().Above(node.object).Above(node.index).value(); }
int HeightOf(const Slice& node) {
  return Height().Above(node.object).Above(node.start).Above(node.stop).Above(node.step).value();
}
int HeightOf(const Call& node) { return Height().Above(node.callee).Above(node.arguments).value(); }
int HeightOf(const FilterCall& node) {
  return Height().Above(node.input).Above(node.arguments).value();
}
int HeightOf(const TestCall& node) {
  return Height().Above(node.input).Above(node.arguments).value();
}

}  // namespace

template <typename Node>
ExpressionParser::Result ExpressionParser::Make(int line, Node node) {
  auto expr = std::make_unique<Expr>();
  expr->line = line;
  expr->height = HeightOf(node);
  expr->of = std::move(node);
  if (expr->height > kMaxNesting) {
    return ErrorInLine(line, absl::StrCat("nested deeper than ", kMaxNesting));
  }
  return ExprPtr(std::move(expr));
}

ExpressionParser::Result ExpressionParser::ParseExpression(bool conditional) {
  const Nested nested(&stream_);
  SSMD_RETURN_IF_ERROR(nested.Check());
  return conditional ? ParseConditional() : ParseOr();
}

ExpressionParser::Result ExpressionParser::ParseTuple(bool conditional, std::string_view end) {
  const int line = stream_.Peek().line;
  const auto at_end = [&] {
    const Kind_ kind = stream_.Peek().kind;
    return kind == Kind_::kOutputEnd || kind == Kind_::kTagEnd || stream_.SeesOperator(")") ||
           (!end.empty() && stream_.SeesName(end));
  };
  SequenceLiteral tuple;
  tuple.tuple = true;
  bool comma = false;
  while (!at_end()) {
    SSMD_ASSIGN_OR_RETURN(ExprPtr item, ParseExpression(conditional));
    tuple.items.push_back(std::move(item));
    comma = stream_.SkipOperator(",");
    if (!comma) break;
  }
  if (tuple.items.empty()) return stream_.Unexpected("an expression");
  if (tuple.items.size() == 1 && !comma) return std::move(tuple.items[0]);
  return Make(line, std::move(tuple));
}

ExpressionParser::Result ExpressionParser::ParseConditional() {
  SSMD_ASSIGN_OR_RETURN(ExprPtr expr, ParseOr());
  while (stream_.SeesName("if")) {
    const int line = stream_.Next().line;
    Conditional node;
    node.then = std::move(expr);
    SSMD_ASSIGN_OR_RETURN(node.condition, ParseOr());
    if (stream_.SkipName("else")) {
      SSMD_ASSIGN_OR_RETURN(node.otherwise, ParseExpression());
    }
    SSMD_ASSIGN_OR_RETURN(expr, Make(line, std::move(node)));
  }
  return expr;
}

ExpressionParser::Result ExpressionParser::ParseOr() {
  SSMD_ASSIGN_OR_RETURN(ExprPtr left, ParseAnd());
  while (stream_.SeesName("or")) {
    const int line = stream_.Next().line;
    SSMD_ASSIGN_OR_RETURN(ExprPtr right, ParseAnd());
    SSMD_ASSIGN_OR_RETURN(left, Make(line, Logic{false, std::move(left), std::move(right)}));
  }
  return left;
}

ExpressionParser::Result ExpressionParser::ParseAnd() {
  SSMD_ASSIGN_OR_RETURN(ExprPtr left, ParseNot());
  while (stream_.SeesName("and")) {
    const int line = stream_.Next().line;
    SSMD_ASSIGN_OR_RETURN(ExprPtr right, ParseNot());
    SSMD_ASSIGN_OR_RETURN(left, Make(line, Logic{true, std::move(left), std::move(right)}));
  }
  return left;
}

ExpressionParser::Result ExpressionParser::ParseNot() {
  if (!stream_.SeesName("not")) return ParseComparison();
  const Nested nested(&stream_);
  SSMD_RETURN_IF_ERROR(nested.Check());
  const int line = stream_.Next().line;
  SSMD_ASSIGN_OR_RETURN(ExprPtr operand, ParseNot());
  return Make(line, Unary{Unary::Operation::kNot, std::move(operand)});
}

std::optional<Comparison> ExpressionParser::ReadComparison() {
  constexpr std::pair<std::string_view, Comparison> kOperators[] = {
      {"==", Comparison::kEqual},  {"!=", Comparison::kNotEqual},
      {"<", Comparison::kLess},    {"<=", Comparison::kLessOrEqual},
      {">", Comparison::kGreater}, {">=", Comparison::kGreaterOrEqual}};
  for (const auto& [text, comparison] : kOperators) {
    if (stream_.SkipOperator(text)) return comparison;
  }
  if (stream_.SkipName("in")) return Comparison::kIn;
  if (stream_.SeesName("not") && stream_.Peek(1).Is(Kind_::kName, "in")) {
    stream_.Next();
    stream_.Next();
    return Comparison::kNotIn;
  }
  return std::nullopt;
}

ExpressionParser::Result ExpressionParser::ParseComparison() {
  const int line = stream_.Peek().line;
  ComparisonChain chain;
  SSMD_ASSIGN_OR_RETURN(chain.first, ParseSum());
  while (const auto comparison = ReadComparison()) {
    SSMD_ASSIGN_OR_RETURN(ExprPtr operand, ParseSum());
    chain.rest.emplace_back(*comparison, std::move(operand));
  }
  if (chain.rest.empty()) return std::move(chain.first);
  return Make(line, std::move(chain));
}

ExpressionParser::Result ExpressionParser::ParseSum() {
  SSMD_ASSIGN_OR_RETURN(ExprPtr left, ParseConcatenation());
  while (stream_.SeesOperator("+") || stream_.SeesOperator("-")) {
    const Token token = stream_.Next();
    SSMD_ASSIGN_OR_RETURN(ExprPtr right, ParseConcatenation());
    const auto operation =
        token.text == "+" ? Binary::Operation::kAdd : Binary::Operation::kSubtract;
    SSMD_ASSIGN_OR_RETURN(left,
                          Make(token.line, Binary{operation, std::move(left), std::move(right)}));
  }
  return left;
}

ExpressionParser::Result ExpressionParser::ParseConcatenation() {
  const int line = stream_.Peek().line;
  Concatenation node;
  do {
    SSMD_ASSIGN_OR_RETURN(ExprPtr part, ParseProduct());
    node.parts.push_back(std::move(part));
  } while (stream_.SkipOperator("~"));
  if (node.parts.size() == 1) return std::move(node.parts[0]);
  return Make(line, std::move(node));
}

ExpressionParser::Result ExpressionParser::ParseProduct() {
  constexpr std::pair<std::string_view, Binary::Operation> kOperators[] = {
      {"*", Binary::Operation::kMultiply},
      {"/", Binary::Operation::kDivide},
      {"//", Binary::Operation::kFloorDivide},
      {"%", Binary::Operation::kModulo}};
  SSMD_ASSIGN_OR_RETURN(ExprPtr left, ParsePower());
  for (;;) {
    const auto found =
        std::find_if(std::begin(kOperators), std::end(kOperators),
                     [&](const auto& entry) { return stream_.SeesOperator(entry.first); });
    if (found == std::end(kOperators)) return left;
    const int line = stream_.Next().line;
    SSMD_ASSIGN_OR_RETURN(ExprPtr right, ParsePower());
    SSMD_ASSIGN_OR_RETURN(left,
                          Make(line, Binary{found->second, std::move(left), std::move(right)}));
  }
}

ExpressionParser::Result ExpressionParser::ParsePower() {
  SSMD_ASSIGN_OR_RETURN(ExprPtr left, ParseUnary(true));
  while (stream_.SeesOperator("**")) {
    const int line = stream_.Next().line;
    SSMD_ASSIGN_OR_RETURN(ExprPtr right, ParseUnary(true));
    SSMD_ASSIGN_OR_RETURN(
        left, Make(line, Binary{Binary::Operation::kPower, std::move(left), std::move(right)}));
  }
  return left;
}

ExpressionParser::Result ExpressionParser::ParseUnary(bool with_filters) {
  const Nested nested(&stream_);
  SSMD_RETURN_IF_ERROR(nested.Check());
  ExprPtr expr;
  if (stream_.SeesOperator("-") || stream_.SeesOperator("+")) {
    const Token token = stream_.Next();
    SSMD_ASSIGN_OR_RETURN(ExprPtr operand, ParseUnary(false));
    const auto operation = token.text == "-" ? Unary::Operation::kMinus : Unary::Operation::kPlus;
    SSMD_ASSIGN_OR_RETURN(expr, Make(token.line, Unary{operation, std::move(operand)}));
  } else {
    SSMD_ASSIGN_OR_RETURN(expr, ParsePrimary());
  }
  SSMD_ASSIGN_OR_RETURN(expr, ParsePostfix(std::move(expr)));
  return with_filters ? ParseFilterOrTest(std::move(expr)) : Result(std::move(expr));
}

ExpressionParser::Result ExpressionParser::ParseLiteral() {
  const Token token = stream_.Next();
  if (token.kind == Kind_::kString) {
    std::string text = token.text;
    while (stream_.Peek().kind == Kind_::kString) text += stream_.Next().text;
    stream_.literals.push_back(text);
    return Make(token.line, Literal{Value::String(text)});
  }
  if (token.kind == Kind_::kInteger) {
    int64_t number = 0;
    if (!absl::SimpleAtoi(token.text, &number)) {
      return ErrorInLine(token.line, "a number does not fit into 64 bits");
    }
    return Make(token.line, Literal{Value::Int(number)});
  }
  double number = 0;
  if (!absl::SimpleAtod(token.text, &number)) {
    return ErrorInLine(token.line, "a number is malformed");
  }
  return Make(token.line, Literal{Value::Float(number)});
}

ExpressionParser::Result ExpressionParser::ParsePrimary() {
  const Token& token = stream_.Peek();
  const int line = token.line;
  switch (token.kind) {
    case Kind_::kString:
    case Kind_::kInteger:
    case Kind_::kFloat:
      return ParseLiteral();
    case Kind_::kName: {
      const std::string name = stream_.Next().text;
      if (name == "true" || name == "True") return Make(line, Literal{Value::Bool(true)});
      if (name == "false" || name == "False") return Make(line, Literal{Value::Bool(false)});
      if (name == "none" || name == "None") return Make(line, Literal{Value::None()});
      return Make(line, Name{name});
    }
    default:
      break;
  }
  if (stream_.SeesOperator("[")) return ParseList();
  if (stream_.SeesOperator("{")) return ParseDict();
  if (!stream_.SkipOperator("(")) return stream_.Unexpected("an expression");
  if (stream_.SkipOperator(")")) {
    SequenceLiteral empty;
    empty.tuple = true;
    return Make(line, std::move(empty));
  }
  SSMD_ASSIGN_OR_RETURN(ExprPtr inside, ParseTuple(true));
  SSMD_RETURN_IF_ERROR(stream_.ExpectOperator(")"));
  return inside;
}

ExpressionParser::Result ExpressionParser::ParseList() {
  const int line = stream_.Next().line;
  SequenceLiteral list;
  while (!stream_.SeesOperator("]")) {
    SSMD_ASSIGN_OR_RETURN(ExprPtr item, ParseExpression());
    list.items.push_back(std::move(item));
    if (!stream_.SkipOperator(",")) break;
  }
  SSMD_RETURN_IF_ERROR(stream_.ExpectOperator("]"));
  return Make(line, std::move(list));
}

ExpressionParser::Result ExpressionParser::ParseDict() {
  const int line = stream_.Next().line;
  DictLiteral dict;
  while (!stream_.SeesOperator("}")) {
    SSMD_ASSIGN_OR_RETURN(ExprPtr key, ParseExpression());
    SSMD_RETURN_IF_ERROR(stream_.ExpectOperator(":"));
    SSMD_ASSIGN_OR_RETURN(ExprPtr value, ParseExpression());
    dict.members.emplace_back(std::move(key), std::move(value));
    if (!stream_.SkipOperator(",")) break;
  }
  SSMD_RETURN_IF_ERROR(stream_.ExpectOperator("}"));
  return Make(line, std::move(dict));
}

ExpressionParser::Result ExpressionParser::ParsePostfix(ExprPtr expr) {
  for (;;) {
    if (stream_.SeesOperator(".") || stream_.SeesOperator("[")) {
      SSMD_ASSIGN_OR_RETURN(expr, ParseSubscript(std::move(expr)));
    } else if (stream_.SeesOperator("(")) {
      SSMD_ASSIGN_OR_RETURN(expr, ParseCall(std::move(expr)));
    } else {
      return expr;
    }
  }
}

ExpressionParser::Result ExpressionParser::ParseFilterOrTest(ExprPtr expr) {
  for (;;) {
    if (stream_.SkipOperator("|")) {
      SSMD_ASSIGN_OR_RETURN(expr, ParseFilter(std::move(expr)));
    } else if (stream_.SkipName("is")) {
      SSMD_ASSIGN_OR_RETURN(expr, ParseTest(std::move(expr)));
    } else if (stream_.SeesOperator("(")) {
      SSMD_ASSIGN_OR_RETURN(expr, ParseCall(std::move(expr)));
    } else {
      return expr;
    }
  }
}

ExpressionParser::Result ExpressionParser::ParseSubscript(ExprPtr object) {
  const Token token = stream_.Next();
  if (token.text == ".") {
    const Token name = stream_.Peek();
    if (name.kind == Kind_::kInteger) {
      SSMD_ASSIGN_OR_RETURN(ExprPtr index, ParseLiteral());
      return Make(token.line, Item{std::move(object), std::move(index)});
    }
    SSMD_RETURN_IF_ERROR(stream_.Expect(Kind_::kName, "a name"));
    return Make(token.line, Attribute{std::move(object), name.text});
  }
  const auto ends = [&] { return stream_.SeesOperator("]") || stream_.SeesOperator(":"); };
  ExprPtr first;
  if (!ends()) {
    SSMD_ASSIGN_OR_RETURN(first, ParseExpression());
  }
  if (!stream_.SkipOperator(":")) {
    if (first == nullptr) return stream_.Unexpected("an expression");
    SSMD_RETURN_IF_ERROR(stream_.ExpectOperator("]"));
    return Make(token.line, Item{std::move(object), std::move(first)});
  }
  Slice slice;
  slice.object = std::move(object);
  slice.start = std::move(first);
  if (!ends()) {
    SSMD_ASSIGN_OR_RETURN(slice.stop, ParseExpression());
  }
  if (stream_.SkipOperator(":") && !ends()) {
    SSMD_ASSIGN_OR_RETURN(slice.step, ParseExpression());
  }
  SSMD_RETURN_IF_ERROR(stream_.ExpectOperator("]"));
  return Make(token.line, std::move(slice));
}

absl::StatusOr<Arguments> ExpressionParser::ParseArguments() {
  Arguments arguments;
  SSMD_RETURN_IF_ERROR(stream_.ExpectOperator("("));
  while (!stream_.SeesOperator(")")) {
    if (stream_.SeesOperator("*") || stream_.SeesOperator("**")) {
      return stream_.Error("arguments behind * or ** are not supported");
    }
    if (stream_.Peek().kind == Kind_::kName && stream_.Peek(1).Is(Kind_::kOperator, "=")) {
      std::string name = stream_.Next().text;
      stream_.Next();
      SSMD_ASSIGN_OR_RETURN(ExprPtr value, ParseExpression());
      arguments.named.emplace_back(std::move(name), std::move(value));
    } else {
      if (!arguments.named.empty()) return stream_.Error("an argument follows those by name");
      SSMD_ASSIGN_OR_RETURN(ExprPtr value, ParseExpression());
      arguments.positional.push_back(std::move(value));
    }
    if (!stream_.SkipOperator(",")) break;
  }
  SSMD_RETURN_IF_ERROR(stream_.ExpectOperator(")"));
  return arguments;
}

ExpressionParser::Result ExpressionParser::ParseCall(ExprPtr callee) {
  const int line = stream_.Peek().line;
  Call call;
  if (const auto* name = std::get_if<Name>(&callee->of)) {
    stream_.called.emplace_back(line, name->name);
  } else if (const auto* attribute = std::get_if<Attribute>(&callee->of)) {
    stream_.methods.emplace_back(line, attribute->name);
  }
  call.callee = std::move(callee);
  SSMD_ASSIGN_OR_RETURN(call.arguments, ParseArguments());
  // A namespace's members may be macros.
  for (const auto& [name, value] : call.arguments.named) stream_.assigned.insert(name);
  return Make(line, std::move(call));
}

ExpressionParser::Result ExpressionParser::ParseFilter(ExprPtr input) {
  const Token name = stream_.Peek();
  SSMD_RETURN_IF_ERROR(stream_.Expect(Kind_::kName, "a filter's name"));
  FilterCall call;
  call.input = std::move(input);
  call.filter = FindFilter(name.text);
  if (call.filter == nullptr) {
    return ErrorInLine(name.line, absl::StrCat("the filter '", name.text, "' is unknown"));
  }
  if (stream_.SeesOperator("(")) {
    SSMD_ASSIGN_OR_RETURN(call.arguments, ParseArguments());
  }
  return Make(name.line, std::move(call));
}

ExpressionParser::Result ExpressionParser::ParseTest(ExprPtr input) {
  const bool negated = stream_.SkipName("not");
  const Token name = stream_.Peek();
  SSMD_RETURN_IF_ERROR(stream_.Expect(Kind_::kName, "a test's name"));
  TestCall call;
  call.input = std::move(input);
  call.test = FindTest(name.text);
  if (call.test == nullptr) {
    return ErrorInLine(name.line, absl::StrCat("the test '", name.text, "' is unknown"));
  }
  const Kind_ kind = stream_.Peek().kind;
  const bool word = kind == Kind_::kName;
  const bool ends =
      word && (stream_.SeesName("else") || stream_.SeesName("or") || stream_.SeesName("and") ||
               stream_.SeesName("if") || stream_.SeesName("in") || stream_.SeesName("not"));
  if (stream_.SeesOperator("(")) {
    SSMD_ASSIGN_OR_RETURN(call.arguments, ParseArguments());
  } else if ((word && !ends) || kind == Kind_::kString || kind == Kind_::kInteger ||
             kind == Kind_::kFloat || stream_.SeesOperator("[") || stream_.SeesOperator("{")) {
    if (stream_.SeesName("is")) return stream_.Error("tests cannot follow each other");
    SSMD_ASSIGN_OR_RETURN(ExprPtr argument, ParsePrimary());
    SSMD_ASSIGN_OR_RETURN(argument, ParsePostfix(std::move(argument)));
    call.arguments.positional.push_back(std::move(argument));
  }
  SSMD_ASSIGN_OR_RETURN(ExprPtr test, Make(name.line, std::move(call)));
  if (!negated) return test;
  return Make(name.line, Unary{Unary::Operation::kNot, std::move(test)});
}

absl::StatusOr<std::vector<ExprPtr>> ExpressionParser::ParseFilters(bool starts_with_name) {
  std::vector<ExprPtr> filters;
  while (starts_with_name || stream_.SkipOperator("|")) {
    starts_with_name = false;
    SSMD_ASSIGN_OR_RETURN(ExprPtr filter, ParseFilter(nullptr));
    filters.push_back(std::move(filter));
  }
  return filters;
}

}  // namespace ssmd::jinja
