// Methods of strings, dicts, sequences and loops. See builtins.h.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/print.h"
#include "engine/text/jinja/strings.h"

namespace ssmd::jinja {
namespace {

absl::StatusOr<std::optional<std::string>> OptionalString(const Bound& arguments, size_t i) {
  if (!arguments[i].has_value() || arguments[i]->is_none()) return std::optional<std::string>();
  SSMD_ASSIGN_OR_RETURN(const Text text, arguments.String(i));
  return std::optional<std::string>(text.bytes());
}

template <Side kSide>
absl::StatusOr<Value> StripMethod(Context& context, const Value& self, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const auto characters, OptionalString(arguments, 0));
  SSMD_RETURN_IF_ERROR(context.budget.Charge(
      self.text().cost() + self.text().size() * (1 + (characters ? characters->size() : 0))));
  return Value::String(Strip(self.text(), kSide, characters));
}

template <Letters kLetters>
absl::StatusOr<Value> CaseMethod(Context& context, const Value& self, const Bound&) {
  SSMD_RETURN_IF_ERROR(context.budget.Charge(self.text().cost() * 2));
  return Value::String(ChangeCase(self.text(), kLetters));
}
absl::StatusOr<Value> TitleMethod(Context& context, const Value& self, const Bound&) {
  SSMD_RETURN_IF_ERROR(context.budget.Charge(self.text().cost() * 2));
  return Value::String(Title(self.text(), false));
}
absl::StatusOr<Value> CapitalizeMethod(Context& context, const Value& self, const Bound&) {
  SSMD_RETURN_IF_ERROR(context.budget.Charge(self.text().cost() * 2));
  return Value::String(Capitalize(self.text()));
}

template <bool kFromRight>
absl::StatusOr<Value> SplitMethod(Context& context, const Value& self, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const auto separator, OptionalString(arguments, 0));
  SSMD_ASSIGN_OR_RETURN(const int64_t most, arguments.Integer(1, -1));
  if (separator.has_value() && separator->empty()) {
    return absl::InvalidArgumentError("the separator is empty");
  }
  SSMD_ASSIGN_OR_RETURN(std::vector<Text> parts,
                        separator.has_value()
                            ? Split(self.text(), *separator, most, kFromRight, &context.budget)
                            : SplitSpace(self.text(), most, kFromRight, &context.budget));
  return MakeStrings(std::move(parts));
}

absl::StatusOr<Value> SplitLinesMethod(Context& context, const Value& self,
                                       const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(std::vector<Text> lines,
                        SplitLines(self.text(), arguments.Flag(0, false), &context.budget));
  return MakeStrings(std::move(lines));
}

template <bool kFromRight>
absl::StatusOr<Value> PartitionMethod(Context& context, const Value& self, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Text separator, arguments.String(0));
  if (separator.empty()) return absl::InvalidArgumentError("the separator is empty");
  const Text& text = self.text();
  SSMD_RETURN_IF_ERROR(context.budget.Charge(text.cost() * 2 + 6 * Budget::kElement));
  const size_t found = kFromRight ? FindLastBytes(text.bytes(), separator.bytes())
                                  : FindBytes(text.bytes(), separator.bytes(), 0);
  std::vector<Value> parts;
  if (found == std::string::npos) {
    parts = {self, Value::String(""), Value::String("")};
    if (kFromRight) std::reverse(parts.begin(), parts.end());
  } else {
    parts = {Value::String(text.Slice(0, found)), Value::String(separator),
             Value::String(text.Slice(found + separator.size(), text.size()))};
  }
  return MakeSequence(std::move(parts), Sequence::Form::kTuple);
}

// startswith and endswith: of one string, or any of a tuple.
template <bool kAtEnd>
absl::StatusOr<Value> AffixMethod(Context& context, const Value& self, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Value given, arguments.Require(0));
  const std::string& bytes = self.text().bytes();
  const auto has = [&](const Value& affix) -> absl::StatusOr<bool> {
    if (!affix.is_string()) return TypeError("a string is wanted, not", affix);
    SSMD_RETURN_IF_ERROR(context.budget.Charge(Budget::kStep + affix.text().size()));
    const std::string& text = affix.text().bytes();
    return kAtEnd ? bytes.ends_with(text) : bytes.starts_with(text);
  };
  if (!given.is_sequence()) {
    SSMD_ASSIGN_OR_RETURN(const bool found, has(given));
    return Value::Bool(found);
  }
  for (const Value& affix : given.sequence().items) {
    SSMD_ASSIGN_OR_RETURN(const bool found, has(affix));
    if (found) return Value::Bool(true);
  }
  return Value::Bool(false);
}

template <bool kAtEnd>
absl::StatusOr<Value> RemoveAffixMethod(Context& context, const Value& self,
                                        const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Text affix, arguments.String(0));
  const Text& text = self.text();
  SSMD_RETURN_IF_ERROR(context.budget.Charge(text.cost()));
  const bool found =
      kAtEnd ? text.bytes().ends_with(affix.bytes()) : text.bytes().starts_with(affix.bytes());
  if (!found) return self;
  return Value::String(kAtEnd ? text.Slice(0, text.size() - affix.size())
                              : text.Slice(affix.size(), text.size()));
}

absl::StatusOr<Value> ReplaceMethod(Context& context, const Value& self, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Text from, arguments.String(0));
  SSMD_ASSIGN_OR_RETURN(const Text to, arguments.String(1));
  SSMD_ASSIGN_OR_RETURN(const int64_t most, arguments.Integer(2, -1));
  SSMD_ASSIGN_OR_RETURN(Text replaced,
                        Replace(self.text(), from.bytes(), to, most, &context.budget));
  return Value::String(std::move(replaced));
}

// find, rfind, index and rindex: where, by characters; -1 or an error where it is not.
template <bool kFromRight, bool kRequired>
absl::StatusOr<Value> FindMethodOf(Context& context, const Value& self, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Text needle, arguments.String(0));
  const std::string& bytes = self.text().bytes();
  SSMD_RETURN_IF_ERROR(context.budget.Charge(bytes.size() * 2 + needle.size()));
  const size_t found =
      kFromRight ? FindLastBytes(bytes, needle.bytes()) : FindBytes(bytes, needle.bytes(), 0);
  if (found != std::string::npos) {
    return Value::Int(
        static_cast<int64_t>(CountCharacters(std::string_view(bytes).substr(0, found))));
  }
  if (kRequired) return absl::InvalidArgumentError("the part is not there");
  return Value::Int(-1);
}

absl::StatusOr<Value> CountMethod(Context& context, const Value& self, const Bound& arguments) {
  if (self.is_string()) {
    SSMD_ASSIGN_OR_RETURN(const Text needle, arguments.String(0));
    if (needle.empty()) {
      return Value::Int(static_cast<int64_t>(CountCharacters(self.text().bytes())) + 1);
    }
    SSMD_ASSIGN_OR_RETURN(const auto parts,
                          Split(self.text(), needle.bytes(), -1, false, &context.budget));
    return Value::Int(static_cast<int64_t>(parts.size()) - 1);
  }
  SSMD_ASSIGN_OR_RETURN(const Value wanted, arguments.Require(0));
  int64_t count = 0;
  for (const Value& item : self.sequence().items) {
    SSMD_ASSIGN_OR_RETURN(const bool equal, Equal(item, wanted, &context.budget));
    if (equal) ++count;
  }
  return Value::Int(count);
}

absl::StatusOr<Value> JoinMethod(Context& context, const Value& self, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Value given, arguments.Require(0));
  SSMD_ASSIGN_OR_RETURN(const auto items, Iterate(given, &context.budget));
  Text joined;
  for (size_t i = 0; i < items->items.size(); ++i) {
    if (!items->items[i].is_string()) {
      return TypeError("strings are wanted, not", items->items[i]);
    }
    const Text& text = items->items[i].text();
    SSMD_RETURN_IF_ERROR(context.budget.Charge(self.text().cost() + text.cost() + Budget::kStep));
    if (i > 0) joined.Append(self.text());
    joined.Append(text);
  }
  return Value::String(std::move(joined));
}

absl::StatusOr<Value> FormatMethod(Context& context, const Value& self,
                                   const CallArguments& arguments) {
  return FormatBraces(self.text(), arguments, &context.budget);
}

// Python's padding to a width: centred, or to one side.
enum class Padding : uint8_t { kLeft, kRight, kZeros };
template <Padding kPadding>
absl::StatusOr<Value> PadMethod(Context& context, const Value& self, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Value given, arguments.Require(0));
  if (!given.is_integral()) return TypeError("a whole number is wanted, not", given);
  const Text& text = self.text();
  const auto characters = static_cast<int64_t>(CountCharacters(text.bytes()));
  const int64_t missing = std::max<int64_t>(given.integer(), characters) - characters;
  SSMD_RETURN_IF_ERROR(
      context.budget.Charge(text.cost() + static_cast<size_t>(missing) + text.size()));
  const std::string filling(static_cast<size_t>(missing), kPadding == Padding::kZeros ? '0' : ' ');
  Text out;
  const size_t sign = kPadding == Padding::kZeros && !text.empty() &&
                              (text.bytes()[0] == '-' || text.bytes()[0] == '+')
                          ? 1
                          : 0;
  out.Append(text, 0, sign);
  if (kPadding != Padding::kRight) out.Append(filling, kOfTemplate);
  out.Append(text, sign, text.size());
  if (kPadding == Padding::kRight) out.Append(filling, kOfTemplate);
  return Value::String(std::move(out));
}

template <bool (*kIs)(char32_t)>
absl::StatusOr<Value> EachMethod(Context& context, const Value& self, const Bound&) {
  SSMD_RETURN_IF_ERROR(context.budget.Charge(self.text().size()));
  return Value::Bool(IsEach(self.text().bytes(), kIs));
}
template <Letters kLetters>
absl::StatusOr<Value> IsCaseMethod(Context& context, const Value& self, const Bound&) {
  SSMD_RETURN_IF_ERROR(context.budget.Charge(self.text().size()));
  return Value::Bool(IsAllOfCase(self.text().bytes(), kLetters));
}

absl::StatusOr<Value> GetMethod(Context&, const Value& self, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Value key, arguments.Require(0));
  if (const Value* found = self.dict().Find(key)) return *found;
  return arguments[1].has_value() ? *arguments[1] : Value::None();
}

enum class Part : uint8_t { kKeys, kValues, kItems };
template <Part kPart>
absl::StatusOr<Value> ViewMethod(Context& context, const Value& self, const Bound&) {
  SSMD_RETURN_IF_ERROR(context.budget.ChargeElements(self.dict().members.size() * 4));
  std::vector<Value> parts;
  for (const auto& [key, value] : self.dict().members) {
    if (kPart == Part::kKeys) parts.push_back(key);
    if (kPart == Part::kValues) parts.push_back(value);
    if (kPart != Part::kItems) continue;
    SSMD_ASSIGN_OR_RETURN(Value pair, MakeSequence({key, value}, Sequence::Form::kTuple));
    parts.push_back(std::move(pair));
  }
  return MakeSequence(std::move(parts), Sequence::Form::kView);
}

absl::StatusOr<Value> CopyMethod(Context&, const Value& self, const Bound&) { return self; }

absl::StatusOr<Value> IndexMethod(Context& context, const Value& self, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Value wanted, arguments.Require(0));
  const auto& items = self.sequence().items;
  for (size_t i = 0; i < items.size(); ++i) {
    SSMD_ASSIGN_OR_RETURN(const bool equal, Equal(items[i], wanted, &context.budget));
    if (equal) return Value::Int(static_cast<int64_t>(i));
  }
  return absl::InvalidArgumentError("the element is not there");
}

absl::StatusOr<Value> RefuseChange(Context&, const Value& self, const CallArguments&) {
  return absl::InvalidArgumentError(absl::StrCat("a template cannot change a ",
                                                 View(self.TypeName()),
                                                 "; neither can it where Hugging Face renders it"));
}

absl::StatusOr<Value> CycleMethod(Context&, const Value& self, const CallArguments& arguments) {
  if (arguments.positional.empty()) return absl::InvalidArgumentError("needs something to choose");
  return arguments.positional[self.loop().index % arguments.positional.size()];
}

}  // namespace

absl::Span<const Builtin> StringMethods() {
  static const std::vector<Builtin> kMethods = {
      {"capitalize", {}, CapitalizeMethod},
      {"count", {"sub"}, CountMethod},
      {"endswith", {"suffix"}, AffixMethod<true>},
      {"find", {"sub"}, FindMethodOf<false, false>},
      {"format", {}, nullptr, FormatMethod},
      {"index", {"sub"}, FindMethodOf<false, true>},
      {"isalnum", {}, EachMethod<IsAlnum>},
      {"isalpha", {}, EachMethod<IsAlpha>},
      {"isdigit", {}, EachMethod<IsDigit>},
      {"islower", {}, IsCaseMethod<Letters::kLower>},
      {"isspace", {}, EachMethod<IsSpace>},
      {"isupper", {}, IsCaseMethod<Letters::kUpper>},
      {"join", {"iterable"}, JoinMethod},
      {"ljust", {"width"}, PadMethod<Padding::kRight>},
      {"lower", {}, CaseMethod<Letters::kLower>},
      {"lstrip", {"chars"}, StripMethod<Side::kLeft>},
      {"partition", {"sep"}, PartitionMethod<false>},
      {"removeprefix", {"prefix"}, RemoveAffixMethod<false>},
      {"removesuffix", {"suffix"}, RemoveAffixMethod<true>},
      {"replace", {"old", "new", "count"}, ReplaceMethod},
      {"rfind", {"sub"}, FindMethodOf<true, false>},
      {"rindex", {"sub"}, FindMethodOf<true, true>},
      {"rjust", {"width"}, PadMethod<Padding::kLeft>},
      {"rpartition", {"sep"}, PartitionMethod<true>},
      {"rsplit", {"sep", "maxsplit"}, SplitMethod<true>},
      {"rstrip", {"chars"}, StripMethod<Side::kRight>},
      {"split", {"sep", "maxsplit"}, SplitMethod<false>},
      {"splitlines", {"keepends"}, SplitLinesMethod},
      {"startswith", {"prefix"}, AffixMethod<false>},
      {"strip", {"chars"}, StripMethod<Side::kBoth>},
      {"title", {}, TitleMethod},
      {"upper", {}, CaseMethod<Letters::kUpper>},
      {"zfill", {"width"}, PadMethod<Padding::kZeros>},
  };
  return kMethods;
}

absl::Span<const Builtin> DictMethods() {
  static const std::vector<Builtin> kMethods = {
      {"clear", {}, nullptr, RefuseChange},   {"copy", {}, CopyMethod},
      {"get", {"key", "default"}, GetMethod}, {"items", {}, ViewMethod<Part::kItems>},
      {"keys", {}, ViewMethod<Part::kKeys>},  {"pop", {}, nullptr, RefuseChange},
      {"popitem", {}, nullptr, RefuseChange}, {"setdefault", {}, nullptr, RefuseChange},
      {"update", {}, nullptr, RefuseChange},  {"values", {}, ViewMethod<Part::kValues>},
  };
  return kMethods;
}

absl::Span<const Builtin> SequenceMethods() {
  static const std::vector<Builtin> kMethods = {
      {"append", {}, nullptr, RefuseChange},
      {"clear", {}, nullptr, RefuseChange},
      {"copy", {}, CopyMethod},
      {"count", {"value"}, CountMethod},
      {"extend", {}, nullptr, RefuseChange},
      {"index", {"value"}, IndexMethod},
      {"insert", {}, nullptr, RefuseChange},
      {"pop", {}, nullptr, RefuseChange},
      {"remove", {}, nullptr, RefuseChange},
      {"reverse", {}, nullptr, RefuseChange},
      {"sort", {}, nullptr, RefuseChange},
  };
  return kMethods;
}

absl::Span<const Builtin> LoopMethods() {
  static const std::vector<Builtin> kMethods = {{"cycle", {}, nullptr, CycleMethod}};
  return kMethods;
}

}  // namespace ssmd::jinja
