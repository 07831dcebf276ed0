// Expressions and calls. See evaluator.h.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/text/jinja/evaluator.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/print.h"

namespace ssmd::jinja {

absl::StatusOr<Value> Evaluator::Evaluate(const Expr& expr) {
  line_ = expr.line;
  SSMD_RETURN_IF_ERROR(Enter());
  auto value = std::visit([&](const auto& node) { return Evaluate(node); }, expr.of);
  Leave();
  return value;
}

absl::StatusOr<Value> Evaluator::Evaluate(const Literal& node) { return node.value; }

absl::StatusOr<Value> Evaluator::Evaluate(const Name& node) {
  size_t variables = 0;
  for (const Scope* scope = scope_.get(); scope != nullptr; scope = scope->parent()) {
    variables += scope->size() + 1;
  }
  SSMD_RETURN_IF_ERROR(context_.budget.Charge(variables));
  if (const Value* found = scope_->Find(node.name)) return *found;
  if (const Builtin* builtin = FindFunction(node.name)) {
    auto function = std::make_shared<Function>();
    function->name = builtin->name;
    return Value::Of(std::shared_ptr<const Function>(std::move(function)));
  }
  return Value::MakeUndefined(absl::StrCat("'", node.name, "' is undefined"));
}

absl::StatusOr<Value> Evaluator::Evaluate(const SequenceLiteral& node) {
  SSMD_RETURN_IF_ERROR(context_.budget.ChargeElements(node.items.size()));
  std::vector<Value> items;
  for (const ExprPtr& expr : node.items) {
    SSMD_ASSIGN_OR_RETURN(Value item, Evaluate(*expr));
    items.push_back(std::move(item));
  }
  return MakeSequence(std::move(items),
                      node.tuple ? Sequence::Form::kTuple : Sequence::Form::kList);
}

absl::StatusOr<Value> Evaluator::Evaluate(const DictLiteral& node) {
  auto dict = std::make_shared<Dict>();
  for (const auto& [key_expr, value_expr] : node.members) {
    SSMD_ASSIGN_OR_RETURN(Value key, Evaluate(*key_expr));
    SSMD_ASSIGN_OR_RETURN(Value value, Evaluate(*value_expr));
    SSMD_RETURN_IF_ERROR(context_.budget.ChargeElements(3));
    if (key.is_string()) SSMD_RETURN_IF_ERROR(context_.budget.Charge(key.text().size()));
    SSMD_RETURN_IF_ERROR(dict->Set(std::move(key), std::move(value)));
  }
  return Value::Of(std::shared_ptr<const Dict>(std::move(dict)));
}

absl::StatusOr<Value> Evaluator::Evaluate(const Unary& node) {
  SSMD_ASSIGN_OR_RETURN(const Value value, Evaluate(*node.operand));
  switch (node.operation) {
    case Unary::Operation::kNot:
      return Value::Bool(!value.Truth());
    case Unary::Operation::kMinus:
      return Negate(value);
    case Unary::Operation::kPlus:
      if (value.is_integral()) return Value::Int(value.integer());
      if (value.is_float()) return value;
      return TypeError("plus wants a number, not", value);
  }
  return value;
}

absl::StatusOr<Value> Evaluator::Evaluate(const Binary& node) {
  SSMD_ASSIGN_OR_RETURN(const Value left, Evaluate(*node.left));
  SSMD_ASSIGN_OR_RETURN(const Value right, Evaluate(*node.right));
  return Calculate(node.operation, left, right, &context_.budget);
}

absl::StatusOr<Value> Evaluator::Evaluate(const Concatenation& node) {
  Text text;
  for (const ExprPtr& expr : node.parts) {
    SSMD_ASSIGN_OR_RETURN(const Value value, Evaluate(*expr));
    SSMD_ASSIGN_OR_RETURN(const Text part, Str(value, &context_.budget));
    text.Append(part);
  }
  return Value::String(std::move(text));
}

absl::StatusOr<Value> Evaluator::Evaluate(const ComparisonChain& node) {
  SSMD_ASSIGN_OR_RETURN(Value left, Evaluate(*node.first));
  for (const auto& [comparison, expr] : node.rest) {
    SSMD_ASSIGN_OR_RETURN(Value right, Evaluate(*expr));
    SSMD_ASSIGN_OR_RETURN(const bool holds, Compare(comparison, left, right, &context_.budget));
    if (!holds) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

absl::StatusOr<Value> Evaluator::Evaluate(const Logic& node) {
  SSMD_ASSIGN_OR_RETURN(Value left, Evaluate(*node.left));
  if (left.Truth() != node.conjunction) return left;
  return Evaluate(*node.right);
}

absl::StatusOr<Value> Evaluator::Evaluate(const Conditional& node) {
  SSMD_ASSIGN_OR_RETURN(const Value condition, Evaluate(*node.condition));
  if (condition.Truth()) return Evaluate(*node.then);
  if (node.otherwise != nullptr) return Evaluate(*node.otherwise);
  return Value::MakeUndefined("the condition is false, and there is no else");
}

absl::StatusOr<Value> Evaluator::Evaluate(const Attribute& node) {
  SSMD_ASSIGN_OR_RETURN(const Value object, Evaluate(*node.object));
  return GetAttribute(object, node.name, &context_.budget);
}

absl::StatusOr<Value> Evaluator::Evaluate(const Item& node) {
  SSMD_ASSIGN_OR_RETURN(const Value object, Evaluate(*node.object));
  SSMD_ASSIGN_OR_RETURN(const Value index, Evaluate(*node.index));
  return GetItem(object, index, &context_.budget);
}

absl::StatusOr<std::optional<int64_t>> Evaluator::SliceBound(const ExprPtr& expr) {
  if (expr == nullptr) return std::optional<int64_t>();
  SSMD_ASSIGN_OR_RETURN(const Value value, Evaluate(*expr));
  if (value.is_none()) return std::optional<int64_t>();
  if (!value.is_integral()) return TypeError("a slice wants whole numbers, not", value);
  return std::optional<int64_t>(value.integer());
}

absl::StatusOr<Value> Evaluator::Evaluate(const Slice& node) {
  SSMD_ASSIGN_OR_RETURN(const Value object, Evaluate(*node.object));
  SliceBounds bounds;
  SSMD_ASSIGN_OR_RETURN(bounds.start, SliceBound(node.start));
  SSMD_ASSIGN_OR_RETURN(bounds.stop, SliceBound(node.stop));
  SSMD_ASSIGN_OR_RETURN(const auto step, SliceBound(node.step));
  bounds.step = step.value_or(1);
  return GetSlice(object, bounds, &context_.budget);
}

absl::StatusOr<CallArguments> Evaluator::EvaluateArguments(const Arguments& arguments) {
  CallArguments values;
  for (const ExprPtr& expr : arguments.positional) {
    SSMD_ASSIGN_OR_RETURN(Value value, Evaluate(*expr));
    values.positional.push_back(std::move(value));
  }
  for (const auto& [name, expr] : arguments.named) {
    SSMD_ASSIGN_OR_RETURN(Value value, Evaluate(*expr));
    values.named.emplace_back(name, std::move(value));
  }
  return values;
}

absl::StatusOr<Value> Evaluator::Evaluate(const Call& node) {
  const int line = line_;
  SSMD_ASSIGN_OR_RETURN(const Value callee, Evaluate(*node.callee));
  SSMD_ASSIGN_OR_RETURN(CallArguments arguments, EvaluateArguments(node.arguments));
  line_ = line;
  return CallValue(callee, std::move(arguments));
}

absl::StatusOr<Value> Evaluator::CallValue(const Value& callee, CallArguments arguments) {
  if (callee.kind() != Kind::kFunction) return TypeError("a function is wanted, not", callee);
  const Function& function = callee.function();
  if (function.macro != nullptr) return CallMacro(function, std::move(arguments));
  const Builtin* builtin =
      function.method ? FindMethod(function.self, function.name) : FindFunction(function.name);
  return builtin->Apply(context_, function.self, arguments);
}

// Sets the parameters in the present scope, which is the macro's.
absl::Status Evaluator::BindParameters(const Macro& macro, CallArguments arguments) {
  const size_t given = arguments.positional.size();
  if (given > macro.parameters.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the macro '", macro.name, "' takes ", macro.parameters.size(), " arguments, got ", given));
  }
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const Parameter& parameter = macro.parameters[i];
    const auto named =
        std::find_if(arguments.named.begin(), arguments.named.end(),
                     [&](const auto& entry) { return entry.first == parameter.name; });
    Value value;
    if (i < given) {
      value = std::move(arguments.positional[i]);
    } else if (named != arguments.named.end()) {
      value = std::move(named->second);
      arguments.named.erase(named);
    } else if (parameter.otherwise != nullptr) {
      SSMD_ASSIGN_OR_RETURN(value, Evaluate(*parameter.otherwise));
    } else {
      value = Value::MakeUndefined(
          absl::StrCat("the parameter '", parameter.name, "' was not provided"));
    }
    SSMD_RETURN_IF_ERROR(context_.budget.ChargeElements(1));
    scope_->Set(parameter.name, std::move(value));
  }
  for (auto& [name, value] : arguments.named) {
    if (name != "caller") {
      return absl::InvalidArgumentError(
          absl::StrCat("the macro '", macro.name, "' has no argument '", View(name), "'"));
    }
    scope_->Set("caller", std::move(value));
  }
  return absl::OkStatus();
}

absl::StatusOr<Value> Evaluator::CallMacro(const Function& function, CallArguments arguments) {
  SSMD_RETURN_IF_ERROR(Enter());
  // A macro sees what is around its definition, not around its call.
  const std::shared_ptr<Scope> outer =
      std::exchange(scope_, std::make_shared<Scope>(kept_[function.scope]));
  Text text;
  absl::Status status = BindParameters(*function.macro, std::move(arguments));
  if (status.ok()) status = Run(function.macro->body, &text).status();
  scope_ = outer;
  Leave();
  SSMD_RETURN_IF_ERROR(status);
  return Value::String(std::move(text));
}

absl::StatusOr<Value> Evaluator::Evaluate(const FilterCall& node) {
  const int line = line_;
  SSMD_ASSIGN_OR_RETURN(const Value input, Evaluate(*node.input));
  SSMD_ASSIGN_OR_RETURN(const CallArguments arguments, EvaluateArguments(node.arguments));
  line_ = line;
  return node.filter->Apply(context_, input, arguments);
}

absl::StatusOr<Value> Evaluator::Evaluate(const TestCall& node) {
  const int line = line_;
  SSMD_ASSIGN_OR_RETURN(const Value input, Evaluate(*node.input));
  SSMD_ASSIGN_OR_RETURN(const CallArguments arguments, EvaluateArguments(node.arguments));
  line_ = line;
  return node.test->Apply(context_, input, arguments);
}

}  // namespace ssmd::jinja
