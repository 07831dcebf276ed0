// Statements. Expressions are in evaluate_expressions.cc.
#include "engine/text/jinja/evaluator.h"

#include <optional>
#include <variant>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/print.h"

namespace ssmd::jinja {
namespace {

// Expressions, statements and macros within each other while evaluating: together they take less
// than half a megabyte of the thread's stack, and two with AddressSanitizer.
constexpr int kMaxEvaluationDepth = 800;

}  // namespace

Evaluator::Evaluator(Context* context, size_t output_bytes_max)
    : context_(*context), output_bytes_max_(output_bytes_max), scope_(std::make_shared<Scope>()) {}

absl::Status Evaluator::Enter() {
  SSMD_RETURN_IF_ERROR(context_.budget.Charge(Budget::kStep));
  if (depth_ >= kMaxEvaluationDepth) {
    return absl::InvalidArgumentError(
        absl::StrCat("calls and expressions are nested deeper than ", kMaxEvaluationDepth));
  }
  ++depth_;
  return absl::OkStatus();
}

absl::StatusOr<Text> Evaluator::Run(const Body& body) {
  Text out;
  SSMD_RETURN_IF_ERROR(Run(body, &out).status());
  return out;
}

absl::StatusOr<Evaluator::Flow> Evaluator::Run(const Body& body, Text* out) {
  for (const Statement& statement : body) {
    line_ = statement.line;
    SSMD_RETURN_IF_ERROR(Enter());
    const auto flow = std::visit([&](const auto& node) { return Run(node, out); }, statement.of);
    Leave();
    if (!flow.ok() || *flow != Flow::kOn) return flow;
  }
  return Flow::kOn;
}

absl::Status Evaluator::Append(const Text& text, Text* out) {
  SSMD_RETURN_IF_ERROR(context_.budget.Charge(text.cost()));
  if (text.size() > output_bytes_max_ - std::min(out->size(), output_bytes_max_)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the rendered text is longer than ", output_bytes_max_, " bytes"));
  }
  out->Append(text);
  return absl::OkStatus();
}

absl::StatusOr<Evaluator::Flow> Evaluator::Run(const Data& node, Text* out) {
  SSMD_RETURN_IF_ERROR(Append(Text(node.text), out));
  return Flow::kOn;
}

absl::StatusOr<Evaluator::Flow> Evaluator::Run(const Output& node, Text* out) {
  SSMD_ASSIGN_OR_RETURN(const Value value, Evaluate(*node.value));
  SSMD_ASSIGN_OR_RETURN(const Text text, Str(value, &context_.budget));
  SSMD_RETURN_IF_ERROR(Append(text, out));
  return Flow::kOn;
}

absl::StatusOr<Evaluator::Flow> Evaluator::Run(const If& node, Text* out) {
  for (const auto& [condition, body] : node.branches) {
    SSMD_ASSIGN_OR_RETURN(const Value value, Evaluate(*condition));
    if (value.Truth()) return Run(body, out);
  }
  return Run(node.otherwise, out);
}

// The items that the loop's filter lets through, all found before the first is run.
absl::StatusOr<std::shared_ptr<const Sequence>> Evaluator::ItemsOf(const For& node) {
  SSMD_ASSIGN_OR_RETURN(const Value value, Evaluate(*node.items));
  SSMD_ASSIGN_OR_RETURN(const auto items, Iterate(value, &context_.budget));
  if (node.filter == nullptr) return items;
  SSMD_RETURN_IF_ERROR(context_.budget.ChargeElements(items->items.size()));
  std::vector<Value> kept;
  const std::shared_ptr<Scope> outer = scope_;
  absl::Status status;
  for (const Value& item : items->items) {
    scope_ = std::make_shared<Scope>(outer);
    status = Assign(node.target, item);
    if (!status.ok()) break;
    const auto wanted = Evaluate(*node.filter);
    status = wanted.status();
    if (!status.ok()) break;
    if (wanted->Truth()) kept.push_back(item);
  }
  scope_ = outer;
  SSMD_RETURN_IF_ERROR(status);
  SSMD_ASSIGN_OR_RETURN(const Value filtered, MakeSequence(std::move(kept)));
  return filtered.shared_sequence();
}

absl::StatusOr<Evaluator::Flow> Evaluator::RunItem(const For& node,
                                                   const std::shared_ptr<Loop>& loop, Text* out) {
  SSMD_RETURN_IF_ERROR(context_.budget.ChargeElements(3));  // its scope
  SSMD_RETURN_IF_ERROR(Assign(node.target, loop->items->items[loop->index]));
  scope_->Set("loop", Value::Of(std::make_shared<Loop>(*loop)));
  return Run(node.body, out);
}

absl::StatusOr<Evaluator::Flow> Evaluator::Run(const For& node, Text* out) {
  SSMD_ASSIGN_OR_RETURN(const auto items, ItemsOf(node));
  if (items->items.empty()) {
    const std::shared_ptr<Scope> outer = scope_;
    scope_ = MakeScope();
    const auto flow = Run(node.otherwise, out);
    scope_ = outer;
    return flow;
  }
  const auto loop = std::make_shared<Loop>();
  loop->items = items;
  const std::shared_ptr<Scope> outer = scope_;
  absl::StatusOr<Flow> flow = Flow::kOn;
  for (; loop->index < items->items.size(); ++loop->index) {
    scope_ = std::make_shared<Scope>(outer);
    flow = RunItem(node, loop, out);
    if (!flow.ok() || *flow == Flow::kBreak) break;
  }
  scope_ = outer;
  if (!flow.ok()) return flow;
  return Flow::kOn;
}

absl::Status Evaluator::AssignParts(const Target& target, const Value& value) {
  SSMD_ASSIGN_OR_RETURN(const auto parts, Iterate(value, &context_.budget));
  if (parts->items.size() != target.parts.size()) {
    return absl::InvalidArgumentError(absl::StrCat("there are ", target.parts.size(), " names for ",
                                                   parts->items.size(), " values"));
  }
  for (size_t i = 0; i < parts->items.size(); ++i) {
    SSMD_RETURN_IF_ERROR(Assign(target.parts[i], parts->items[i]));
  }
  return absl::OkStatus();
}

absl::Status Evaluator::Assign(const Target& target, Value value) {
  if (!target.parts.empty()) return AssignParts(target, value);
  SSMD_RETURN_IF_ERROR(context_.budget.ChargeElements(1));
  if (target.attribute.empty()) {
    SSMD_RETURN_IF_ERROR(context_.budget.Charge(scope_->size()));
    scope_->Set(target.name, std::move(value));
    return absl::OkStatus();
  }
  const Value* ns = scope_->Find(target.name);
  if (ns == nullptr || ns->kind() != Kind::kNamespace) {
    return absl::InvalidArgumentError(absl::StrCat("'", target.name, "' is no namespace"));
  }
  if (target.attribute[0] == '_') {
    return absl::InvalidArgumentError(
        absl::StrCat("a namespace takes no name like '", target.attribute, "'"));
  }
  ns->name_space().Set(target.attribute, std::move(value));
  return absl::OkStatus();
}

absl::StatusOr<Evaluator::Flow> Evaluator::Run(const Set& node, Text*) {
  SSMD_ASSIGN_OR_RETURN(Value value, Evaluate(*node.value));
  SSMD_RETURN_IF_ERROR(Assign(node.target, std::move(value)));
  return Flow::kOn;
}

absl::StatusOr<Value> Evaluator::Capture(const Body& body, const std::vector<ExprPtr>& filters,
                                         Flow* flow) {
  const std::shared_ptr<Scope> outer = scope_;
  scope_ = MakeScope();
  Text text;
  const auto ran = Run(body, &text);
  Value value = Value::String(std::move(text));
  absl::Status status = ran.status();
  if (ran.ok()) *flow = *ran;
  for (const ExprPtr& expr : filters) {
    if (!status.ok()) break;
    const auto& call = std::get<FilterCall>(expr->of);
    auto arguments = EvaluateArguments(call.arguments);
    status = arguments.status();
    if (!status.ok()) break;
    auto filtered = call.filter->Apply(context_, value, *arguments);
    status = filtered.status();
    if (status.ok()) value = *std::move(filtered);
  }
  scope_ = outer;
  SSMD_RETURN_IF_ERROR(status);
  return value;
}

absl::StatusOr<Evaluator::Flow> Evaluator::Run(const SetBlock& node, Text*) {
  Flow flow = Flow::kOn;
  SSMD_ASSIGN_OR_RETURN(Value value, Capture(node.body, node.filters, &flow));
  if (flow != Flow::kOn) return flow;
  SSMD_RETURN_IF_ERROR(Assign(node.target, std::move(value)));
  return Flow::kOn;
}

Value Evaluator::MakeMacro(const Macro& macro) {
  auto function = std::make_shared<Function>();
  function->name = macro.name;
  function->macro = &macro;
  function->scope = kept_.size();
  kept_.push_back(scope_);
  return Value::Of(std::shared_ptr<const Function>(std::move(function)));
}

absl::StatusOr<Evaluator::Flow> Evaluator::Run(const std::unique_ptr<const Macro>& node, Text*) {
  SSMD_RETURN_IF_ERROR(context_.budget.ChargeElements(4));
  scope_->Set(node->name, MakeMacro(*node));
  return Flow::kOn;
}

absl::StatusOr<Evaluator::Flow> Evaluator::Run(const CallBlock& node, Text* out) {
  SSMD_RETURN_IF_ERROR(context_.budget.ChargeElements(4));
  const Call& call = std::get<Call>(node.call->of);
  SSMD_ASSIGN_OR_RETURN(const Value callee, Evaluate(*call.callee));
  SSMD_ASSIGN_OR_RETURN(CallArguments arguments, EvaluateArguments(call.arguments));
  arguments.named.emplace_back("caller", MakeMacro(node.caller));
  SSMD_ASSIGN_OR_RETURN(const Value value, CallValue(callee, std::move(arguments)));
  SSMD_ASSIGN_OR_RETURN(const Text text, Str(value, &context_.budget));
  SSMD_RETURN_IF_ERROR(Append(text, out));
  return Flow::kOn;
}

absl::StatusOr<Evaluator::Flow> Evaluator::Run(const FilterBlock& node, Text* out) {
  Flow flow = Flow::kOn;
  SSMD_ASSIGN_OR_RETURN(const Value value, Capture(node.body, node.filters, &flow));
  SSMD_ASSIGN_OR_RETURN(const Text text, Str(value, &context_.budget));
  SSMD_RETURN_IF_ERROR(Append(text, out));
  return flow;
}

absl::StatusOr<Evaluator::Flow> Evaluator::Run(const With& node, Text* out) {
  std::vector<Value> values;
  for (const auto& [target, expr] : node.variables) {
    SSMD_ASSIGN_OR_RETURN(Value value, Evaluate(*expr));
    values.push_back(std::move(value));
  }
  const std::shared_ptr<Scope> outer = scope_;
  scope_ = MakeScope();
  absl::Status status;
  for (size_t i = 0; i < values.size() && status.ok(); ++i) {
    status = Assign(node.variables[i].first, std::move(values[i]));
  }
  absl::StatusOr<Flow> flow = status.ok() ? Run(node.body, out) : absl::StatusOr<Flow>(status);
  scope_ = outer;
  return flow;
}

absl::StatusOr<Evaluator::Flow> Evaluator::Run(const Generation& node, Text* out) {
  const std::shared_ptr<Scope> outer = scope_;
  scope_ = MakeScope();
  auto flow = Run(node.body, out);
  scope_ = outer;
  return flow;
}

absl::StatusOr<Evaluator::Flow> Evaluator::Run(const Break&, Text*) { return Flow::kBreak; }
absl::StatusOr<Evaluator::Flow> Evaluator::Run(const Continue&, Text*) { return Flow::kContinue; }

}  // namespace ssmd::jinja
