// Walks a template's tree and writes its text. For one rendering.
#ifndef SSMD_ENGINE_TEXT_JINJA_EVALUATOR_H_
#define SSMD_ENGINE_TEXT_JINJA_EVALUATOR_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/scope.h"
#include "engine/text/jinja/syntax.h"

namespace ssmd::jinja {

class Evaluator {
 public:
  // All outlive the evaluator.
  Evaluator(Context* context, size_t output_bytes_max);

  void Define(std::string_view name, Value value) { scope_->Set(name, std::move(value)); }
  // Once. FAILED_PRECONDITION with the template's words where it raises an exception;
  // INVALID_ARGUMENT where it cannot be evaluated or passes a limit.
  absl::StatusOr<Text> Run(const Body& body);
  int line() const { return line_; }  // of what was evaluated last

 private:
  enum class Flow : uint8_t { kOn, kBreak, kContinue };

  // --- Statements: they append to `out` ---
  absl::StatusOr<Flow> Run(const Body& body, Text* out);
  absl::StatusOr<Flow> Run(const Data& node, Text* out);
  absl::StatusOr<Flow> Run(const Output& node, Text* out);
  absl::StatusOr<Flow> Run(const If& node, Text* out);
  absl::StatusOr<Flow> Run(const For& node, Text* out);
  absl::StatusOr<Flow> Run(const Set& node, Text* out);
  absl::StatusOr<Flow> Run(const SetBlock& node, Text* out);
  absl::StatusOr<Flow> Run(const std::unique_ptr<const Macro>& node, Text* out);
  absl::StatusOr<Flow> Run(const CallBlock& node, Text* out);
  absl::StatusOr<Flow> Run(const FilterBlock& node, Text* out);
  absl::StatusOr<Flow> Run(const With& node, Text* out);
  absl::StatusOr<Flow> Run(const Generation& node, Text* out);
  absl::StatusOr<Flow> Run(const Break& node, Text* out);
  absl::StatusOr<Flow> Run(const Continue& node, Text* out);
  absl::Status Append(const Text& text, Text* out);

  absl::StatusOr<std::shared_ptr<const Sequence>> ItemsOf(const For& node);
  absl::StatusOr<Flow> RunItem(const For& node, const std::shared_ptr<Loop>& loop, Text* out);
  absl::Status Assign(const Target& target, Value value);
  absl::Status AssignParts(const Target& target, const Value& value);
  // A body in a scope of its own, through filters.
  absl::StatusOr<Value> Capture(const Body& body, const std::vector<ExprPtr>& filters, Flow* flow);
  Value MakeMacro(const Macro& macro);

  // --- Expressions ---
  absl::StatusOr<Value> Evaluate(const Expr& expr);
  absl::StatusOr<Value> Evaluate(const Literal& node);
  absl::StatusOr<Value> Evaluate(const Name& node);
  absl::StatusOr<Value> Evaluate(const SequenceLiteral& node);
  absl::StatusOr<Value> Evaluate(const DictLiteral& node);
  absl::StatusOr<Value> Evaluate(const Unary& node);
  absl::StatusOr<Value> Evaluate(const Binary& node);
  absl::StatusOr<Value> Evaluate(const Concatenation& node);
  absl::StatusOr<Value> Evaluate(const ComparisonChain& node);
  absl::StatusOr<Value> Evaluate(const Logic& node);
  absl::StatusOr<Value> Evaluate(const Conditional& node);
  absl::StatusOr<Value> Evaluate(const Attribute& node);
  absl::StatusOr<Value> Evaluate(const Item& node);
  absl::StatusOr<Value> Evaluate(const Slice& node);
  absl::StatusOr<Value> Evaluate(const Call& node);
  absl::StatusOr<Value> Evaluate(const FilterCall& node);
  absl::StatusOr<Value> Evaluate(const TestCall& node);
  absl::StatusOr<std::optional<int64_t>> SliceBound(const ExprPtr& expr);
  absl::StatusOr<CallArguments> EvaluateArguments(const Arguments& arguments);
  absl::StatusOr<Value> CallValue(const Value& callee, CallArguments arguments);
  absl::StatusOr<Value> CallMacro(const Function& function, CallArguments arguments);
  absl::Status BindParameters(const Macro& macro, CallArguments arguments);

  absl::Status Enter();  // one level deeper
  void Leave() { --depth_; }
  std::shared_ptr<Scope> MakeScope() { return std::make_shared<Scope>(scope_); }

  Context& context_;
  const size_t output_bytes_max_;
  std::shared_ptr<Scope> scope_;
  // Scopes that macros were defined in: a macro names one by its place here, for a scope that held
  // what points back to it would not end.
  std::vector<std::shared_ptr<Scope>> kept_;
  int depth_ = 0;
  int line_ = 1;
};

}  // namespace ssmd::jinja

#endif  // SSMD_ENGINE_TEXT_JINJA_EVALUATOR_H_
