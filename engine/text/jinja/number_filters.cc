// Filters of numbers. See builtins.h.
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/strings.h"

namespace ssmd::jinja {
namespace {

constexpr double kIntegersEnd = 9223372036854775808.0;  // 2^63

std::string Trimmed(const Value& value) {
  std::string text = Strip(value.text(), Side::kBoth, std::nullopt).bytes();
  // Python allows _ between digits.
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool between = text[i] == '_' && i > 0 && i + 1 < text.size() &&
                         std::isdigit(static_cast<unsigned char>(text[i - 1])) != 0 &&
                         std::isdigit(static_cast<unsigned char>(text[i + 1])) != 0;
    if (!between) digits += text[i];
  }
  return digits;
}

std::optional<double> ReadFloat(const Value& value) {
  if (value.is_number()) return value.number();
  if (!value.is_string()) return std::nullopt;
  double number = 0;
  const std::string text = Trimmed(value);
  if (text.find_first_of("xX") != std::string::npos) return std::nullopt;
  if (!absl::SimpleAtod(text, &number)) return std::nullopt;
  return number;
}

std::optional<int64_t> ToInteger(double number) {
  if (!(number > -kIntegersEnd && number < kIntegersEnd)) return std::nullopt;
  return static_cast<int64_t>(number);
}

std::optional<int64_t> ReadInteger(const std::string& text, int64_t base) {
  if (base < 2 || base > 36 || text.empty()) return std::nullopt;
  char* end = nullptr;
  errno = 0;
  std::string digits = text;
  if (base == 2 || base == 8) {  // Python's 0b and 0o, which C does not know
    const size_t sign = digits[0] == '-' || digits[0] == '+' ? 1 : 0;
    const std::string prefix = digits.substr(sign, 2);
    if (prefix == (base == 2 ? "0b" : "0o")) digits.erase(sign, 2);
  }
  const int64_t number = std::strtoll(digits.c_str(), &end, static_cast<int>(base));
  if (errno != 0 || *end != '\0' || end == digits.c_str()) return std::nullopt;
  return number;
}

// Parameters: default, base.
absl::StatusOr<Value> FilterInt(Context& context, const Value& input, const Bound& arguments) {
  SSMD_RETURN_IF_ERROR(CheckDefined(input));
  const Value otherwise = arguments[0].has_value() ? *arguments[0] : Value::Int(0);
  SSMD_ASSIGN_OR_RETURN(const int64_t base, arguments.Integer(1, 10));
  if (input.is_integral()) return Value::Int(input.integer());
  if (input.is_string()) {
    SSMD_RETURN_IF_ERROR(context.budget.Charge(input.text().size() * 2));
    if (const auto number = ReadInteger(Trimmed(input), base)) return Value::Int(*number);
  }
  const auto number = ReadFloat(input);
  const auto whole = number.has_value() ? ToInteger(*number) : std::nullopt;
  return whole.has_value() ? Value::Int(*whole) : otherwise;
}

// Parameters: default.
absl::StatusOr<Value> FilterFloat(Context& context, const Value& input, const Bound& arguments) {
  SSMD_RETURN_IF_ERROR(CheckDefined(input));
  if (input.is_string()) SSMD_RETURN_IF_ERROR(context.budget.Charge(input.text().size() * 2));
  if (const auto number = ReadFloat(input)) return Value::Float(*number);
  return arguments[0].has_value() ? *arguments[0] : Value::Float(0);
}

absl::StatusOr<Value> FilterAbs(Context&, const Value& input, const Bound&) {
  if (input.is_float()) return Value::Float(std::fabs(input.number()));
  if (!input.is_integral()) return TypeError("a number is wanted, not", input);
  return input.integer() < 0 ? Negate(input) : Value::Int(input.integer());
}

// To `digits` decimals as Python rounds: by the number's exact value, ties to even.
double RoundTo(double number, int64_t digits) {
  if (digits >= 0) {
    return std::strtod(absl::StrFormat("%.*f", static_cast<int>(digits), number).c_str(), nullptr);
  }
  const double unit = std::pow(10, static_cast<double>(-digits));
  return std::nearbyint(number / unit) * unit;
}

// Parameters: precision, method.
absl::StatusOr<Value> FilterRound(Context&, const Value& input, const Bound& arguments) {
  constexpr int64_t kMostDigits = 300;
  SSMD_ASSIGN_OR_RETURN(const int64_t digits, arguments.Integer(0, 0));
  if (!input.is_number()) return TypeError("a number is wanted, not", input);
  if (digits < -kMostDigits || digits > kMostDigits) {
    return absl::InvalidArgumentError(absl::StrCat("the precision's limit is ", kMostDigits));
  }
  std::string method = "common";
  if (arguments[1].has_value()) {
    SSMD_ASSIGN_OR_RETURN(const Text name, arguments.String(1));
    method = name.bytes();
  }
  if (method == "common") {
    if (input.is_integral() && digits >= 0) return Value::Int(input.integer());
    const double rounded = RoundTo(input.number(), digits);
    if (!input.is_integral()) return Value::Float(rounded);
    const auto whole = ToInteger(rounded);
    if (!whole.has_value()) return absl::InvalidArgumentError("the number is too large");
    return Value::Int(*whole);
  }
  if (method != "ceil" && method != "floor") {
    return absl::InvalidArgumentError("the method must be common, ceil or floor");
  }
  const double unit = std::pow(10, static_cast<double>(digits));
  const double scaled = input.number() * unit;
  return Value::Float((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit);
}

}  // namespace

absl::Span<const Builtin> NumberFilters() {
  static const std::vector<Builtin> kFilters = {
      {"abs", {}, FilterAbs},
      {"float", {"default"}, FilterFloat},
      {"int", {"default", "base"}, FilterInt},
      {"round", {"precision", "method"}, FilterRound},
  };
  return kFilters;
}

}  // namespace ssmd::jinja
