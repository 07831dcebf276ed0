// The tests behind `is`. See builtins.h.
#include "engine/base/status_macros.h"
#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/print.h"
#include "engine/text/jinja/strings.h"

namespace ssmd::jinja {
namespace {

// A test of the value alone.
template <bool (*kIs)(const Value&)>
absl::StatusOr<Value> Is(Context&, const Value& input, const Bound&) {
  return Value::Bool(kIs(input));
}

bool IsDefined(const Value& value) { return !value.is_undefined(); }
bool IsUndefined(const Value& value) { return value.is_undefined(); }
bool IsNone(const Value& value) { return value.is_none(); }
bool IsBoolean(const Value& value) { return value.is_bool(); }
bool IsTrue(const Value& value) { return value.is_bool() && value.bool_value(); }
bool IsFalse(const Value& value) { return value.is_bool() && !value.bool_value(); }
bool IsInteger(const Value& value) { return value.is_int(); }
bool IsFloat(const Value& value) { return value.is_float(); }
bool IsNumber(const Value& value) { return value.is_number(); }
bool IsString(const Value& value) { return value.is_string(); }
bool IsMapping(const Value& value) { return value.is_dict(); }
bool IsCallable(const Value& value) { return value.kind() == Kind::kFunction; }
bool IsEscaped(const Value& value) { return value.is_string() && value.text().markup(); }
bool IsIterable(const Value& value) {
  return value.is_undefined() || value.is_string() || value.is_sequence() || value.is_dict() ||
         value.kind() == Kind::kLoop;
}
bool IsSequence(const Value& value) {
  return value.is_undefined() || value.is_string() || value.is_dict() ||
         (value.is_sequence() && value.sequence().indexed());
}

template <Letters kLetters>
absl::StatusOr<Value> IsCase(Context& context, const Value& input, const Bound&) {
  SSMD_ASSIGN_OR_RETURN(const Text text, Str(input, &context.budget));
  return Value::Bool(IsAllOfCase(text.bytes(), kLetters));
}

absl::StatusOr<Value> IsFilter(Context&, const Value& input, const Bound&) {
  return Value::Bool(input.is_string() && FindFilter(input.text().bytes()) != nullptr);
}
absl::StatusOr<Value> IsTest(Context&, const Value& input, const Bound&) {
  return Value::Bool(input.is_string() && FindTest(input.text().bytes()) != nullptr);
}

absl::StatusOr<Value> IsSameAs(Context&, const Value& input, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Value other, arguments.Require(0));
  return Value::Bool(input.SameAs(other));
}

template <Comparison kComparison>
absl::StatusOr<Value> Compares(Context& context, const Value& input, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Value other, arguments.Require(0));
  SSMD_ASSIGN_OR_RETURN(const bool holds, Compare(kComparison, input, other, &context.budget));
  return Value::Bool(holds);
}

absl::StatusOr<bool> HasRest(Context& context, const Value& input, const Value& divisor,
                             int64_t wanted) {
  SSMD_ASSIGN_OR_RETURN(const Value rest,
                        Calculate(Binary::Operation::kModulo, input, divisor, &context.budget));
  return Equal(rest, Value::Int(wanted), &context.budget);
}
template <int64_t kRest>
absl::StatusOr<Value> IsOfTwo(Context& context, const Value& input, const Bound&) {
  SSMD_ASSIGN_OR_RETURN(const bool holds, HasRest(context, input, Value::Int(2), kRest));
  return Value::Bool(holds);
}
absl::StatusOr<Value> IsDivisible(Context& context, const Value& input, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Value divisor, arguments.Require(0));
  SSMD_ASSIGN_OR_RETURN(const bool holds, HasRest(context, input, divisor, 0));
  return Value::Bool(holds);
}

}  // namespace

absl::Span<const Builtin> Tests() {
  static const std::vector<Builtin> kTests = {
      {"!=", {"other"}, Compares<Comparison::kNotEqual>},
      {"<", {"other"}, Compares<Comparison::kLess>},
      {"<=", {"other"}, Compares<Comparison::kLessOrEqual>},
      {"==", {"other"}, Compares<Comparison::kEqual>},
      {">", {"other"}, Compares<Comparison::kGreater>},
      {">=", {"other"}, Compares<Comparison::kGreaterOrEqual>},
      {"boolean", {}, Is<IsBoolean>},
      {"callable", {}, Is<IsCallable>},
      {"defined", {}, Is<IsDefined>},
      {"divisibleby", {"num"}, IsDivisible},
      {"eq", {"other"}, Compares<Comparison::kEqual>},
      {"equalto", {"other"}, Compares<Comparison::kEqual>},
      {"escaped", {}, Is<IsEscaped>},
      {"even", {}, IsOfTwo<0>},
      {"false", {}, Is<IsFalse>},
      {"filter", {}, IsFilter},
      {"float", {}, Is<IsFloat>},
      {"ge", {"other"}, Compares<Comparison::kGreaterOrEqual>},
      {"greaterthan", {"other"}, Compares<Comparison::kGreater>},
      {"gt", {"other"}, Compares<Comparison::kGreater>},
      {"in", {"seq"}, Compares<Comparison::kIn>},
      {"integer", {}, Is<IsInteger>},
      {"iterable", {}, Is<IsIterable>},
      {"le", {"other"}, Compares<Comparison::kLessOrEqual>},
      {"lessthan", {"other"}, Compares<Comparison::kLess>},
      {"lower", {}, IsCase<Letters::kLower>},
      {"lt", {"other"}, Compares<Comparison::kLess>},
      {"mapping", {}, Is<IsMapping>},
      {"ne", {"other"}, Compares<Comparison::kNotEqual>},
      {"none", {}, Is<IsNone>},
      {"number", {}, Is<IsNumber>},
      {"odd", {}, IsOfTwo<1>},
      {"sameas", {"other"}, IsSameAs},
      {"sequence", {}, Is<IsSequence>},
      {"string", {}, Is<IsString>},
      {"test", {}, IsTest},
      {"true", {}, Is<IsTrue>},
      {"undefined", {}, Is<IsUndefined>},
      {"upper", {}, IsCase<Letters::kUpper>},
  };
  return kTests;
}

}  // namespace ssmd::jinja
