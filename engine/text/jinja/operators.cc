#include "engine/text/jinja/operators.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/numeric/int128.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/strings.h"

namespace ssmd::jinja {
namespace {

using Operation = Binary::Operation;

std::string_view SymbolOf(Operation operation) {
  switch (operation) {
    case Operation::kAdd:
      return "+";
    case Operation::kSubtract:
      return "-";
    case Operation::kMultiply:
      return "*";
    case Operation::kDivide:
      return "/";
    case Operation::kFloorDivide:
      return "//";
    case Operation::kModulo:
      return "%";
    case Operation::kPower:
      return "**";
  }
  return "";
}

absl::Status Mismatch(Operation operation, const Value& left, const Value& right) {
  return absl::InvalidArgumentError(absl::StrCat("cannot calculate ", View(left.TypeName()), " ",
                                                 View(SymbolOf(operation)), " ",
                                                 View(right.TypeName())));
}

absl::Status Overflow() {
  return absl::InvalidArgumentError("a whole number does not fit into 64 bits");
}

absl::StatusOr<Value> Narrow(absl::int128 value) {
  if (value < std::numeric_limits<int64_t>::min() || value > std::numeric_limits<int64_t>::max()) {
    return Overflow();
  }
  return Value::Int(static_cast<int64_t>(value));
}

absl::StatusOr<Value> IntegerPower(int64_t base, int64_t exponent) {
  absl::int128 result = 1;
  // At most 63 rounds: what is not 0, 1 or -1 overflows by then.
  if (base == 0 || base == 1) return Value::Int(exponent == 0 ? 1 : base);
  if (base == -1) return Value::Int(exponent % 2 == 0 ? 1 : -1);
  for (int64_t i = 0; i < exponent; ++i) {
    result *= base;
    if (!Narrow(result).ok()) return Overflow();
  }
  return Narrow(result);
}

absl::StatusOr<Value> OfIntegers(Operation operation, int64_t left, int64_t right) {
  const absl::int128 a = left;
  const absl::int128 b = right;
  const bool divides = operation == Operation::kDivide || operation == Operation::kFloorDivide ||
                       operation == Operation::kModulo;
  if (divides && right == 0) return absl::InvalidArgumentError("division by zero");
  switch (operation) {
    case Operation::kAdd:
      return Narrow(a + b);
    case Operation::kSubtract:
      return Narrow(a - b);
    case Operation::kMultiply:
      return Narrow(a * b);
    case Operation::kDivide:
      return Value::Float(static_cast<double>(left) / static_cast<double>(right));
    case Operation::kFloorDivide: {
      const absl::int128 quotient = a / b;
      return Narrow(quotient - (a % b != 0 && ((a < 0) != (b < 0)) ? 1 : 0));
    }
    case Operation::kModulo: {
      const absl::int128 rest = a % b;
      return Narrow(rest != 0 && ((rest < 0) != (b < 0)) ? rest + b : rest);
    }
    case Operation::kPower:
      if (right >= 0) return IntegerPower(left, right);
      if (left == 0) return absl::InvalidArgumentError("division by zero");
      return Value::Float(std::pow(static_cast<double>(left), static_cast<double>(right)));
  }
  return Overflow();
}

absl::StatusOr<Value> OfFloats(Operation operation, double left, double right) {
  switch (operation) {
    case Operation::kAdd:
      return Value::Float(left + right);
    case Operation::kSubtract:
      return Value::Float(left - right);
    case Operation::kMultiply:
      return Value::Float(left * right);
    case Operation::kPower:
      if (left == 0 && right < 0) break;
      if (left < 0 && right != std::floor(right)) {
        return absl::InvalidArgumentError("the power is not a real number");
      }
      return Value::Float(std::pow(left, right));
    default:
      break;
  }
  if (right == 0 || operation == Operation::kPower) {
    return absl::InvalidArgumentError("division by zero");
  }
  if (operation == Operation::kDivide) return Value::Float(left / right);
  double rest = std::fmod(left, right);
  if (rest != 0 && ((rest < 0) != (right < 0))) rest += right;
  if (operation == Operation::kModulo) return Value::Float(rest);
  return Value::Float(std::round((left - rest) / right));
}

absl::StatusOr<Value> AddTexts(const Text& left, const Text& right, Budget* budget) {
  SSMD_RETURN_IF_ERROR(budget->Charge(left.cost() + right.cost()));
  if (left.markup() == right.markup()) {
    Text sum = left;
    sum.Append(right);
    return Value::String(std::move(sum));
  }
  SSMD_ASSIGN_OR_RETURN(Text sum, left.markup() ? left : EscapeHtml(left, budget));
  SSMD_ASSIGN_OR_RETURN(const Text rest, right.markup() ? right : EscapeHtml(right, budget));
  sum.Append(rest);
  sum.set_markup(true);
  return Value::String(std::move(sum));
}

absl::StatusOr<Value> AddSequences(const Value& left, const Value& right, Budget* budget) {
  const Sequence& a = left.sequence();
  const Sequence& b = right.sequence();
  const bool alike =
      a.form == b.form && (a.form == Sequence::Form::kList || a.form == Sequence::Form::kTuple);
  if (!alike) return Mismatch(Operation::kAdd, left, right);
  SSMD_RETURN_IF_ERROR(budget->ChargeElements(a.items.size() + b.items.size()));
  std::vector<Value> items = a.items;
  items.insert(items.end(), b.items.begin(), b.items.end());
  return MakeSequence(std::move(items), a.form);
}

absl::StatusOr<Value> RepeatText(const Text& text, int64_t count, Budget* budget) {
  const auto times = static_cast<size_t>(std::max<int64_t>(count, 0));
  Text repeated;
  if (text.empty()) return Value::String(repeated);
  for (size_t i = 0; i < times; ++i) {
    SSMD_RETURN_IF_ERROR(budget->Charge(text.cost() + 1));
    repeated.Append(text);
  }
  return Value::String(std::move(repeated));
}

absl::StatusOr<Value> RepeatSequence(const Sequence& sequence, int64_t count, Budget* budget) {
  std::vector<Value> items;
  for (int64_t i = 0; i < count && !sequence.items.empty(); ++i) {
    SSMD_RETURN_IF_ERROR(budget->ChargeElements(sequence.items.size()));
    items.insert(items.end(), sequence.items.begin(), sequence.items.end());
  }
  return MakeSequence(std::move(items), sequence.form);
}

absl::StatusOr<Value> Repeat(const Value& left, const Value& right, Budget* budget) {
  const Value& what = left.is_integral() ? right : left;
  const Value& count = left.is_integral() ? left : right;
  if (count.is_integral() && what.is_string()) {
    return RepeatText(what.text(), count.integer(), budget);
  }
  if (count.is_integral() && what.is_sequence() &&
      (what.sequence().form == Sequence::Form::kList ||
       what.sequence().form == Sequence::Form::kTuple)) {
    return RepeatSequence(what.sequence(), count.integer(), budget);
  }
  return Mismatch(Operation::kMultiply, left, right);
}

absl::StatusOr<bool> EqualSequences(const Sequence& a, const Sequence& b, Budget* budget) {
  if (&a == &b) return true;
  const auto form = [](const Sequence& s) { return s.form; };
  if (form(a) != form(b) || a.items.size() != b.items.size()) return false;
  if (a.form == Sequence::Form::kOnce || a.form == Sequence::Form::kView) return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    SSMD_ASSIGN_OR_RETURN(const bool equal, Equal(a.items[i], b.items[i], budget));
    if (!equal) return false;
  }
  return true;
}

absl::StatusOr<bool> EqualDicts(const Dict& a, const Dict& b, Budget* budget) {
  if (a.members.size() != b.members.size()) return false;
  for (const auto& [key, value] : a.members) {
    const Value* other = b.Find(key);
    if (other == nullptr) return false;
    SSMD_ASSIGN_OR_RETURN(const bool equal, Equal(value, *other, budget));
    if (!equal) return false;
  }
  return true;
}

int OrderOf(double a, double b) { return a < b ? -1 : a > b ? 1 : 0; }

absl::StatusOr<bool> Contains(const Value& container, const Value& item, Budget* budget) {
  if (container.is_string()) {
    if (!item.is_string()) {
      return TypeError("'in' a string wants a string on its left, not", item);
    }
    SSMD_RETURN_IF_ERROR(budget->Charge(container.text().size() + item.text().size()));
    return FindBytes(container.text().bytes(), item.text().bytes(), 0) != std::string::npos;
  }
  if (container.is_dict()) return container.dict().Find(item) != nullptr;
  if (container.kind() == Kind::kNamespace || container.kind() == Kind::kLoop) {
    return TypeError("'in' wants something with elements, not", container);
  }
  SSMD_ASSIGN_OR_RETURN(const auto sequence, Iterate(container, budget));
  for (const Value& candidate : sequence->items) {
    SSMD_ASSIGN_OR_RETURN(const bool equal, Equal(candidate, item, budget));
    if (equal) return true;
  }
  return false;
}

}  // namespace

absl::Status TypeError(std::string_view what, const Value& value) {
  if (value.is_undefined()) return absl::InvalidArgumentError(value.why_undefined());
  return absl::InvalidArgumentError(absl::StrCat(View(what), " a ", View(value.TypeName())));
}

absl::Status CheckDefined(const Value& value) {
  if (!value.is_undefined()) return absl::OkStatus();
  return absl::InvalidArgumentError(value.why_undefined());
}

absl::StatusOr<Value> Calculate(Operation operation, const Value& left, const Value& right,
                                Budget* budget) {
  SSMD_RETURN_IF_ERROR(CheckDefined(left));
  SSMD_RETURN_IF_ERROR(CheckDefined(right));
  if (operation == Operation::kModulo && left.is_string()) {
    return FormatPercent(left.text(), right, budget);
  }
  if (left.is_integral() && right.is_integral()) {
    return OfIntegers(operation, left.integer(), right.integer());
  }
  if (left.is_number() && right.is_number()) {
    return OfFloats(operation, left.number(), right.number());
  }
  if (operation == Operation::kAdd && left.is_string() && right.is_string()) {
    return AddTexts(left.text(), right.text(), budget);
  }
  if (operation == Operation::kAdd && left.is_sequence() && right.is_sequence()) {
    return AddSequences(left, right, budget);
  }
  if (operation == Operation::kMultiply) return Repeat(left, right, budget);
  return Mismatch(operation, left, right);
}

absl::StatusOr<Value> Negate(const Value& value) {
  if (value.is_integral()) return Narrow(-absl::int128(value.integer()));
  if (value.is_float()) return Value::Float(-value.number());
  return TypeError("minus wants a number, not", value);
}

absl::StatusOr<bool> Equal(const Value& left, const Value& right, Budget* budget) {
  SSMD_RETURN_IF_ERROR(budget->Charge(Budget::kStep));
  if (left.is_integral() && right.is_integral()) return left.integer() == right.integer();
  if (left.is_number() && right.is_number()) return left.number() == right.number();
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Kind::kString:
      SSMD_RETURN_IF_ERROR(budget->Charge(left.text().size()));
      return left.text().bytes() == right.text().bytes();
    case Kind::kSequence:
      return EqualSequences(left.sequence(), right.sequence(), budget);
    case Kind::kDict:
      return EqualDicts(left.dict(), right.dict(), budget);
    default:
      return left.SameAs(right);
  }
}

absl::StatusOr<int> Order(const Value& left, const Value& right, Budget* budget) {
  SSMD_RETURN_IF_ERROR(budget->Charge(Budget::kStep));
  SSMD_RETURN_IF_ERROR(CheckDefined(left));
  SSMD_RETURN_IF_ERROR(CheckDefined(right));
  if (left.is_integral() && right.is_integral()) {
    return left.integer() < right.integer() ? -1 : left.integer() > right.integer() ? 1 : 0;
  }
  if (left.is_number() && right.is_number()) return OrderOf(left.number(), right.number());
  if (left.is_string() && right.is_string()) {
    // UTF-8 sorts as its code points do.
    SSMD_RETURN_IF_ERROR(budget->Charge(left.text().size()));
    return left.text().bytes().compare(right.text().bytes());
  }
  if (left.is_sequence() && right.is_sequence() && left.sequence().form == right.sequence().form &&
      left.sequence().indexed()) {
    const auto& a = left.sequence().items;
    const auto& b = right.sequence().items;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      SSMD_ASSIGN_OR_RETURN(const bool equal, Equal(a[i], b[i], budget));
      if (!equal) return Order(a[i], b[i], budget);
    }
    return OrderOf(static_cast<double>(a.size()), static_cast<double>(b.size()));
  }
  return absl::InvalidArgumentError(absl::StrCat("a ", View(left.TypeName()), " and a ",
                                                 View(right.TypeName()), " have no order"));
}

absl::StatusOr<bool> Compare(Comparison comparison, const Value& left, const Value& right,
                             Budget* budget) {
  switch (comparison) {
    case Comparison::kEqual:
      return Equal(left, right, budget);
    case Comparison::kNotEqual: {
      SSMD_ASSIGN_OR_RETURN(const bool equal, Equal(left, right, budget));
      return !equal;
    }
    case Comparison::kIn:
      return Contains(right, left, budget);
    case Comparison::kNotIn: {
      SSMD_ASSIGN_OR_RETURN(const bool contains, Contains(right, left, budget));
      return !contains;
    }
    default:
      break;
  }
  const bool nan = (left.is_float() && std::isnan(left.number())) ||
                   (right.is_float() && std::isnan(right.number()));
  SSMD_ASSIGN_OR_RETURN(const int order, Order(left, right, budget));
  if (nan) return false;
  switch (comparison) {
    case Comparison::kLess:
      return order < 0;
    case Comparison::kLessOrEqual:
      return order <= 0;
    case Comparison::kGreater:
      return order > 0;
    default:
      return order >= 0;
  }
}

absl::StatusOr<std::shared_ptr<const Sequence>> Iterate(const Value& value, Budget* budget) {
  std::vector<Value> items;
  switch (value.kind()) {
    case Kind::kSequence: {
      const Sequence& sequence = value.sequence();
      if (sequence.form != Sequence::Form::kOnce) return value.shared_sequence();
      if (!std::exchange(sequence.spent, true)) return value.shared_sequence();
      break;
    }
    case Kind::kUndefined:
      break;
    case Kind::kDict:
      SSMD_RETURN_IF_ERROR(budget->ChargeElements(value.dict().members.size()));
      for (const auto& [key, member] : value.dict().members) items.push_back(key);
      break;
    case Kind::kString: {
      SSMD_ASSIGN_OR_RETURN(items, Characters(value.text(), budget));
      break;
    }
    default:
      return TypeError("elements are wanted, and there are none in", value);
  }
  SSMD_ASSIGN_OR_RETURN(const Value made, MakeSequence(std::move(items)));
  return made.shared_sequence();
}

absl::StatusOr<int64_t> Length(const Value& value, Budget* budget) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      SSMD_RETURN_IF_ERROR(budget->Charge(value.text().size()));
      return static_cast<int64_t>(CountCharacters(value.text().bytes()));
    case Kind::kDict:
      return static_cast<int64_t>(value.dict().members.size());
    case Kind::kSequence:
      if (value.sequence().form == Sequence::Form::kOnce) break;
      return static_cast<int64_t>(value.sequence().items.size());
    default:
      break;
  }
  return TypeError("a length is wanted, and there is none of", value);
}

}  // namespace ssmd::jinja
