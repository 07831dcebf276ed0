// Filters that make text. See builtins.h.
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/print.h"
#include "engine/text/jinja/strings.h"

namespace ssmd::jinja {
namespace {

// Most filters of text take any value for its text.
template <typename Change>
absl::StatusOr<Value> Changed(Context& context, const Value& input, Change change) {
  SSMD_ASSIGN_OR_RETURN(const Text text, Str(input, &context.budget));
  SSMD_RETURN_IF_ERROR(context.budget.Charge(text.cost() * 2));
  return Value::String(change(text));
}

absl::StatusOr<Value> FilterString(Context& context, const Value& input, const Bound&) {
  if (input.is_string()) return input;
  SSMD_ASSIGN_OR_RETURN(Text text, Str(input, &context.budget));
  return Value::String(std::move(text));
}

absl::StatusOr<Value> FilterSafe(Context& context, const Value& input, const Bound&) {
  SSMD_ASSIGN_OR_RETURN(Text text, Str(input, &context.budget));
  text.set_markup(true);
  return Value::String(std::move(text));
}

absl::StatusOr<Value> FilterEscape(Context& context, const Value& input, const Bound&) {
  if (input.is_string() && input.text().markup()) return input;
  SSMD_ASSIGN_OR_RETURN(const Text text, Str(input, &context.budget));
  SSMD_ASSIGN_OR_RETURN(Text escaped, EscapeHtml(text, &context.budget));
  escaped.set_markup(true);
  return Value::String(std::move(escaped));
}

absl::StatusOr<Value> FilterUpper(Context& context, const Value& input, const Bound&) {
  return Changed(context, input,
                 [](const Text& text) { return ChangeCase(text, Letters::kUpper); });
}
absl::StatusOr<Value> FilterLower(Context& context, const Value& input, const Bound&) {
  return Changed(context, input,
                 [](const Text& text) { return ChangeCase(text, Letters::kLower); });
}
absl::StatusOr<Value> FilterTitle(Context& context, const Value& input, const Bound&) {
  return Changed(context, input, [](const Text& text) { return Title(text, true); });
}
absl::StatusOr<Value> FilterCapitalize(Context& context, const Value& input, const Bound&) {
  return Changed(context, input, [](const Text& text) { return Capitalize(text); });
}

absl::StatusOr<Value> FilterTrim(Context& context, const Value& input, const Bound& arguments) {
  std::optional<std::string> characters;
  if (arguments[0].has_value() && !arguments[0]->is_none()) {
    SSMD_ASSIGN_OR_RETURN(const Text text, arguments.String(0));
    characters = text.bytes();
  }
  SSMD_ASSIGN_OR_RETURN(const Text text, Str(input, &context.budget));
  SSMD_RETURN_IF_ERROR(
      context.budget.Charge(text.size() * (1 + (characters ? characters->size() : 0))));
  return Value::String(Strip(text, Side::kBoth, characters));
}

absl::StatusOr<Value> FilterReplace(Context& context, const Value& input, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Text text, Str(input, &context.budget));
  SSMD_ASSIGN_OR_RETURN(const Value from, arguments.Require(0));
  SSMD_ASSIGN_OR_RETURN(const Value to, arguments.Require(1));
  SSMD_ASSIGN_OR_RETURN(const Text old, Str(from, &context.budget));
  SSMD_ASSIGN_OR_RETURN(const Text fresh, Str(to, &context.budget));
  SSMD_ASSIGN_OR_RETURN(const int64_t most, arguments.Integer(2, -1));
  SSMD_ASSIGN_OR_RETURN(Text replaced, Replace(text, old.bytes(), fresh, most, &context.budget));
  return Value::String(std::move(replaced));
}

absl::StatusOr<Text> IndentBy(const Bound& arguments, size_t i, int64_t otherwise) {
  if (arguments[i].has_value() && arguments[i]->is_string()) return arguments[i]->text();
  SSMD_ASSIGN_OR_RETURN(const int64_t width, arguments.Integer(i, otherwise));
  constexpr int64_t kMaxIndent = 1000;
  if (width > kMaxIndent) {
    return absl::InvalidArgumentError(absl::StrCat("the limit of an indent is ", kMaxIndent));
  }
  return Text(std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' '));
}

// Parameters: width, first, blank.
absl::StatusOr<Value> FilterIndent(Context& context, const Value& input, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Text indent, IndentBy(arguments, 0, 4));
  const bool blank = arguments.Flag(2, false);
  SSMD_ASSIGN_OR_RETURN(Text text, Str(input, &context.budget));
  text.Append("\n", kOfTemplate);
  SSMD_ASSIGN_OR_RETURN(const auto lines, SplitLines(text, false, &context.budget));
  Text out;
  if (arguments.Flag(1, false)) out.Append(indent);
  for (size_t i = 0; i < lines.size(); ++i) {
    SSMD_RETURN_IF_ERROR(context.budget.Charge(lines[i].cost() + indent.cost() + 1));
    if (i > 0) out.Append("\n", kOfTemplate);
    if (i > 0 && (blank || !lines[i].empty())) out.Append(indent);
    out.Append(lines[i]);
  }
  return Value::String(std::move(out));
}

absl::StatusOr<Value> FilterFormat(Context& context, const Value& input,
                                   const CallArguments& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Text form, Str(input, &context.budget));
  if (!arguments.named.empty() && !arguments.positional.empty()) {
    return absl::InvalidArgumentError("takes values by place or by name, not both");
  }
  if (arguments.named.empty()) {
    SSMD_ASSIGN_OR_RETURN(const Value values,
                          MakeSequence(arguments.positional, Sequence::Form::kTuple));
    return FormatPercent(form, values, &context.budget);
  }
  auto values = std::make_shared<Dict>();
  for (const auto& [name, value] : arguments.named) {
    SSMD_RETURN_IF_ERROR(values->Set(Value::String(name), value));
  }
  return FormatPercent(form, Value::Of(std::shared_ptr<const Dict>(values)), &context.budget);
}

// Parameters: ensure_ascii, indent, separators, sort_keys.
absl::StatusOr<Value> FilterToJson(Context& context, const Value& input, const Bound& arguments) {
  JsonStyle style;
  style.ensure_ascii = arguments.Flag(0, false);
  style.sort_keys = arguments.Flag(3, false);
  if (arguments[1].has_value() && !arguments[1]->is_none()) {
    style.indented = true;
    style.item_separator = Text(",");
    SSMD_ASSIGN_OR_RETURN(style.indent, IndentBy(arguments, 1, 0));
  }
  if (arguments[2].has_value() && !arguments[2]->is_none()) {
    const Value& given = *arguments[2];
    const bool pair = given.is_sequence() && given.sequence().items.size() == 2 &&
                      given.sequence().items[0].is_string() &&
                      given.sequence().items[1].is_string();
    if (!pair) return TypeError("separators must be two strings, not", given);
    style.item_separator = given.sequence().items[0].text();
    style.key_separator = given.sequence().items[1].text();
  }
  SSMD_ASSIGN_OR_RETURN(Text json, ToJson(input, style, &context.budget));
  return Value::String(std::move(json));
}

absl::StatusOr<Value> FilterUrlEncode(Context& context, const Value& input, const Bound&) {
  SSMD_ASSIGN_OR_RETURN(const Text text, Str(input, &context.budget));
  SSMD_RETURN_IF_ERROR(context.budget.Charge(text.cost() * 3));
  Text out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text.bytes()[i];
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                       std::string_view("_.-~/").find(c) != std::string_view::npos;
    const auto byte = static_cast<unsigned char>(c);
    out.Append(plain ? std::string(1, c) : absl::StrFormat("%%%02X", byte), text.OriginAt(i));
  }
  return Value::String(std::move(out));
}

absl::StatusOr<Value> FilterWordCount(Context& context, const Value& input, const Bound&) {
  SSMD_ASSIGN_OR_RETURN(const Text text, Str(input, &context.budget));
  int64_t words = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size(); at += CharacterBytes(text.bytes(), at)) {
    const std::string_view rest = std::string_view(text.bytes()).substr(at);
    const std::string_view character = rest.substr(0, CharacterBytes(rest, 0));
    const bool word = character == "_" || IsEach(character, IsAlnum);
    if (word && !inside) ++words;
    inside = word;
  }
  return Value::Int(words);
}

}  // namespace

absl::Span<const Builtin> TextFilters() {
  static const std::vector<Builtin> kFilters = {
      {"capitalize", {}, FilterCapitalize},
      {"e", {}, FilterEscape},
      {"escape", {}, FilterEscape},
      {"format", {}, nullptr, FilterFormat},
      {"indent", {"width", "first", "blank"}, FilterIndent},
      {"lower", {}, FilterLower},
      {"replace", {"old", "new", "count"}, FilterReplace},
      {"safe", {}, FilterSafe},
      {"string", {}, FilterString},
      {"title", {}, FilterTitle},
      {"tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}, FilterToJson},
      {"trim", {"chars"}, FilterTrim},
      {"upper", {}, FilterUpper},
      {"urlencode", {}, FilterUrlEncode},
      {"wordcount", {}, FilterWordCount},
  };
  return kFilters;
}

}  // namespace ssmd::jinja
