// Functions of the environment: Jinja's own, and those that Hugging Face adds. See builtins.h.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/print.h"

namespace ssmd::jinja {
namespace {

constexpr int64_t kMaxRange = 100000;  // Jinja's sandbox has this limit, too

absl::StatusOr<Value> Range(Context& context, const Value&, const CallArguments& arguments) {
  const auto& given = arguments.positional;
  if (given.empty() || given.size() > 3 || !arguments.named.empty()) {
    return absl::InvalidArgumentError("takes one to three numbers");
  }
  for (const Value& value : given) {
    if (!value.is_integral()) return TypeError("whole numbers are wanted, not", value);
  }
  const int64_t start = given.size() > 1 ? given[0].integer() : 0;
  const int64_t stop = given[given.size() > 1 ? 1 : 0].integer();
  const int64_t step = given.size() > 2 ? given[2].integer() : 1;
  if (step == 0) return absl::InvalidArgumentError("the step must not be 0");
  std::vector<Value> items;
  for (int64_t at = start; step > 0 ? at < stop : at > stop;) {
    if (items.size() == kMaxRange) {
      return absl::InvalidArgumentError(
          absl::StrCat("has more elements than the limit of ", kMaxRange));
    }
    SSMD_RETURN_IF_ERROR(context.budget.ChargeElements(1));
    items.push_back(Value::Int(at));
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  return MakeSequence(std::move(items), Sequence::Form::kRange);
}

// The members of dict(…) and namespace(…): of a dict or pairs, then by name.
absl::StatusOr<std::shared_ptr<Dict>> MembersFrom(Context& context,
                                                  const CallArguments& arguments) {
  auto dict = std::make_shared<Dict>();
  if (arguments.positional.size() > 1) {
    return absl::InvalidArgumentError("takes one dict and names");
  }
  if (!arguments.positional.empty()) {
    const Value& from = arguments.positional[0];
    SSMD_ASSIGN_OR_RETURN(const auto items, Iterate(from, &context.budget));
    SSMD_RETURN_IF_ERROR(context.budget.ChargeElements(items->items.size() * 2));
    for (const Value& item : items->items) {
      if (from.is_dict()) {
        SSMD_RETURN_IF_ERROR(dict->Set(item, *from.dict().Find(item)));
        continue;
      }
      SSMD_ASSIGN_OR_RETURN(const auto pair, Iterate(item, &context.budget));
      if (pair->items.size() != 2) return absl::InvalidArgumentError("takes pairs");
      SSMD_RETURN_IF_ERROR(dict->Set(pair->items[0], pair->items[1]));
    }
  }
  for (const auto& [name, value] : arguments.named) {
    SSMD_RETURN_IF_ERROR(context.budget.ChargeElements(2));
    SSMD_RETURN_IF_ERROR(dict->Set(Value::String(name), value));
  }
  return dict;
}

absl::StatusOr<Value> MakeDict(Context& context, const Value&, const CallArguments& arguments) {
  SSMD_ASSIGN_OR_RETURN(std::shared_ptr<const Dict> dict, MembersFrom(context, arguments));
  return Value::Of(std::move(dict));
}

absl::StatusOr<Value> MakeNamespace(Context& context, const Value&,
                                    const CallArguments& arguments) {
  SSMD_ASSIGN_OR_RETURN(const auto members, MembersFrom(context, arguments));
  // It stays until the rendering ends.
  SSMD_RETURN_IF_ERROR(context.budget.ChargeElements(4));
  auto ns = std::make_unique<Namespace>();
  for (const auto& [name, value] : members->members) {
    if (!name.is_string()) return TypeError("names are strings, not", name);
    ns->Set(name.text().bytes(), value);
  }
  context.namespaces.push_back(std::move(ns));
  return Value::Of(context.namespaces.back().get());
}

absl::StatusOr<Value> RaiseException(Context& context, const Value&, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Text message, Str(arguments.Get(0), &context.budget));
  constexpr size_t kShown = 500;
  std::string shown = message.bytes().substr(0, kShown);
  while (!shown.empty() && message.size() > kShown && (shown.back() & 0xC0) == 0x80) {
    shown.pop_back();
  }
  return absl::FailedPreconditionError(shown);
}

absl::StatusOr<Value> StrftimeNow(Context& context, const Value&, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Text format, arguments.String(0));
  constexpr size_t kMaxFormat = 256;
  if (format.size() > kMaxFormat) {
    return absl::InvalidArgumentError(absl::StrCat("the format's limit is ", kMaxFormat));
  }
  char buffer[16 * kMaxFormat];
  const size_t size = std::strftime(buffer, sizeof(buffer), format.bytes().c_str(), &context.now);
  return Value::String(std::string_view(buffer, size));
}

}  // namespace

absl::Span<const Builtin> Functions() {
  static const std::vector<Builtin> kFunctions = {
      {"dict", {}, nullptr, MakeDict},
      {"namespace", {}, nullptr, MakeNamespace},
      {"raise_exception", {"message"}, RaiseException},
      {"range", {}, nullptr, Range},
      {"strftime_now", {"format"}, StrftimeNow},
  };
  return kFunctions;
}

}  // namespace ssmd::jinja
