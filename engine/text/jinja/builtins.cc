// Arguments, and the tables by name. See builtins.h.
#include "engine/text/jinja/builtins.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/text/jinja/operators.h"

namespace ssmd::jinja {
namespace {

const Builtin* FindIn(absl::Span<const Builtin> table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Builtin& entry) { return entry.name == name; });
  return found == table.end() ? nullptr : &*found;
}

}  // namespace

absl::StatusOr<Bound> Bound::Make(const CallArguments& arguments,
                                  absl::Span<const std::string_view> parameters) {
  if (arguments.positional.size() > parameters.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "takes at most ", parameters.size(), " arguments, got ", arguments.positional.size()));
  }
  Bound bound;
  bound.names_.assign(parameters.begin(), parameters.end());
  bound.values_.assign(arguments.positional.begin(), arguments.positional.end());
  bound.values_.resize(parameters.size());
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find(parameters.begin(), parameters.end(), name);
    if (found == parameters.end()) {
      return absl::InvalidArgumentError(absl::StrCat("has no argument '", View(name), "'"));
    }
    auto& place = bound.values_[static_cast<size_t>(found - parameters.begin())];
    if (place.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat("got '", View(name), "' twice"));
    }
    place = value;
  }
  return bound;
}

absl::StatusOr<Value> Bound::Require(size_t i) const {
  if (values_[i].has_value()) return *values_[i];
  return absl::InvalidArgumentError(absl::StrCat("needs the argument '", View(names_[i]), "'"));
}

absl::StatusOr<int64_t> Bound::Integer(size_t i, int64_t otherwise) const {
  if (!values_[i].has_value() || values_[i]->is_none()) return otherwise;
  if (values_[i]->is_integral()) return values_[i]->integer();
  return TypeError("a whole number is wanted, not", *values_[i]);
}

absl::StatusOr<Text> Bound::String(size_t i) const {
  SSMD_ASSIGN_OR_RETURN(const Value value, Require(i));
  if (value.is_string()) return value.text();
  return TypeError("a string is wanted, not", value);
}

bool Bound::Flag(size_t i, bool otherwise) const {
  return values_[i].has_value() ? values_[i]->Truth() : otherwise;
}

absl::StatusOr<Value> Builtin::Apply(Context& context, const Value& input,
                                     const CallArguments& arguments) const {
  SSMD_RETURN_IF_ERROR(context.budget.Charge(Budget::kStep));
  absl::StatusOr<Value> result;
  if (free != nullptr) {
    result = free(context, input, arguments);
  } else {
    const auto values = Bound::Make(arguments, parameters);
    result = values.ok() ? bound(context, input, *values) : absl::StatusOr<Value>(values.status());
  }
  // What the template itself refuses is told in its own words.
  if (result.ok() || absl::IsFailedPrecondition(result.status())) return result;
  return absl::Status(result.status().code(),
                      absl::StrCat(View(name), ": ", result.status().message()));
}

const Builtin* FindFilter(std::string_view name) {
  for (const auto table : {TextFilters(), SequenceFilters(), NumberFilters()}) {
    if (const Builtin* found = FindIn(table, name)) return found;
  }
  return nullptr;
}

const Builtin* FindTest(std::string_view name) { return FindIn(Tests(), name); }
const Builtin* FindFunction(std::string_view name) { return FindIn(Functions(), name); }

bool IsMethod(std::string_view name) {
  for (const auto table : {StringMethods(), DictMethods(), SequenceMethods(), LoopMethods()}) {
    if (FindIn(table, name) != nullptr) return true;
  }
  return false;
}

const Builtin* FindMethod(const Value& self, std::string_view name) {
  switch (self.kind()) {
    case Kind::kString:
      return FindIn(StringMethods(), name);
    case Kind::kDict:
      return FindIn(DictMethods(), name);
    case Kind::kSequence:
      return self.sequence().indexed() ? FindIn(SequenceMethods(), name) : nullptr;
    case Kind::kLoop:
      return FindIn(LoopMethods(), name);
    default:
      return nullptr;
  }
}

}  // namespace ssmd::jinja
