// The tree of a parsed template. Immutable; its height is bounded by the parser, so that walking
// and destroying it by recursion is safe.
#ifndef SSMD_ENGINE_TEXT_JINJA_SYNTAX_H_
#define SSMD_ENGINE_TEXT_JINJA_SYNTAX_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/value.h"

namespace ssmd::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<const Expr>;

struct Arguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
};

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct SequenceLiteral {
  std::vector<ExprPtr> items;
  bool tuple = false;
};
struct DictLiteral {
  std::vector<std::pair<ExprPtr, ExprPtr>> members;
};
struct Unary {
  enum class Operation : uint8_t { kNot, kMinus, kPlus };
  Operation operation;
  ExprPtr operand;
};
struct Binary {
  enum class Operation : uint8_t {
    kAdd,
    kSubtract,
    kMultiply,
    kDivide,
    kFloorDivide,
    kModulo,
    kPower,
  };
  Operation operation;
  ExprPtr left;
  ExprPtr right;
};
struct Concatenation {
  std::vector<ExprPtr> parts;
};
enum class Comparison : uint8_t {
  kEqual,
  kNotEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kIn,
  kNotIn,
};
struct ComparisonChain {  // a < b < c is a < b and b < c
  ExprPtr first;
  std::vector<std::pair<Comparison, ExprPtr>> rest;
};
struct Logic {
  bool conjunction;  // and; else or
  ExprPtr left;
  ExprPtr right;
};
struct Conditional {
  ExprPtr condition;
  ExprPtr then;
  ExprPtr otherwise;  // may be null: undefined
};
struct Attribute {
  ExprPtr object;
  std::string name;
};
struct Item {
  ExprPtr object;
  ExprPtr index;
};
struct Slice {
  ExprPtr object;
  ExprPtr start;  // of these each may be null
  ExprPtr stop;
  ExprPtr step;
};
struct Call {
  ExprPtr callee;
  Arguments arguments;
};
struct FilterCall {
  ExprPtr input;  // null: the body of a block
  const Builtin* filter;
  Arguments arguments;
};
struct TestCall {
  ExprPtr input;
  const Builtin* test;
  Arguments arguments;
};

struct Expr {
  int line = 0;
  int height = 1;
  std::variant<Literal, Name, SequenceLiteral, DictLiteral, Unary, Binary, Concatenation,
               ComparisonChain, Logic, Conditional, Attribute, Item, Slice, Call, FilterCall,
               TestCall>
      of;
};

struct Statement;
using Body = std::vector<Statement>;

// What `set` and `for` assign to.
struct Target {
  std::string name;           // of a variable or a namespace
  std::string attribute;      // of a namespace; empty: the variable itself
  std::vector<Target> parts;  // of a tuple; empty: this is none
};
struct Parameter {
  std::string name;
  ExprPtr otherwise;  // its default; may be null
};

struct Data {
  std::string text;
};
struct Output {
  ExprPtr value;
};
struct If {
  std::vector<std::pair<ExprPtr, Body>> branches;
  Body otherwise;
};
struct For {
  Target target;
  ExprPtr items;
  ExprPtr filter;  // may be null
  Body body;
  Body otherwise;
};
struct Set {
  Target target;
  ExprPtr value;
};
struct SetBlock {
  Target target;
  std::vector<ExprPtr> filters;  // FilterCall without input, in order
  Body body;
};
struct Macro {
  std::string name;
  std::vector<Parameter> parameters;
  Body body;
};
struct CallBlock {
  Macro caller;
  ExprPtr call;  // a Call
};
struct FilterBlock {
  std::vector<ExprPtr> filters;
  Body body;
};
struct With {
  std::vector<std::pair<Target, ExprPtr>> variables;
  Body body;
};
struct Generation {  // Hugging Face's mark of what the assistant says
  Body body;
};
struct Break {};
struct Continue {};

struct Statement {
  int line = 0;
  std::variant<Data, Output, If, For, Set, SetBlock, std::unique_ptr<const Macro>, CallBlock,
               FilterBlock, With, Generation, Break, Continue>
      of;
};

}  // namespace ssmd::jinja

#endif  // SSMD_ENGINE_TEXT_JINJA_SYNTAX_H_
