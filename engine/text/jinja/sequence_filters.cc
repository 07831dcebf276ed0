// Filters of lists and dicts. See builtins.h.
#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/print.h"
#include "engine/text/jinja/strings.h"

namespace ssmd::jinja {
namespace {

using Items = std::shared_ptr<const Sequence>;

// The value at "a.b.0" of `item`.
absl::StatusOr<Value> FollowPath(Context& context, const Value& item, const Value& path) {
  if (!path.is_string()) return GetItem(item, path, &context.budget);
  Value at = item;
  const std::string_view names = path.text().bytes();
  for (size_t begin = 0; begin <= names.size();) {
    const size_t end = std::min(names.find('.', begin), names.size());
    const std::string_view name = names.substr(begin, end - begin);
    SSMD_RETURN_IF_ERROR(context.budget.Charge(Budget::kStep + name.size()));
    int64_t number = 0;
    const bool digits = !name.empty() && IsEach(name, IsDigit);
    SSMD_ASSIGN_OR_RETURN(
        at, GetItem(at,
                    digits && absl::SimpleAtoi(View(name), &number) ? Value::Int(number)
                                                                    : Value::String(name),
                    &context.budget));
    begin = end + 1;
  }
  return at;
}

// Strings are compared without case unless the filter is told otherwise.
absl::StatusOr<Value> SortKeyOf(Context& context, const Value& item, const Value& attribute,
                                bool case_sensitive) {
  Value key = item;
  if (!attribute.is_undefined() && !attribute.is_none()) {
    SSMD_ASSIGN_OR_RETURN(key, FollowPath(context, item, attribute));
  }
  if (case_sensitive || !key.is_string()) return key;
  SSMD_RETURN_IF_ERROR(context.budget.Charge(key.text().cost() * 2));
  return Value::String(ChangeCase(key.text(), Letters::kLower));
}

// By "a,b", the one after the other.
absl::StatusOr<Value> SortKeysOf(Context& context, const Value& item, const Value& attributes,
                                 bool case_sensitive) {
  if (!attributes.is_string() || attributes.text().bytes().find(',') == std::string::npos) {
    return SortKeyOf(context, item, attributes, case_sensitive);
  }
  SSMD_ASSIGN_OR_RETURN(const auto names,
                        Split(attributes.text(), ",", -1, false, &context.budget));
  std::vector<Value> keys;
  for (const Text& name : names) {
    SSMD_ASSIGN_OR_RETURN(Value key, SortKeyOf(context, item, Value::String(name), case_sensitive));
    keys.push_back(std::move(key));
  }
  return MakeSequence(std::move(keys));
}

using Keyed = std::pair<Value, Value>;  // sort key, value

// Stable; an error while comparing is the first one that came up.
absl::StatusOr<Value> SortKeyed(Context& context, std::vector<Keyed> keyed, bool reverse) {
  absl::Status error;
  const auto less = [&](const Keyed& a, const Keyed& b) {
    if (!error.ok()) return false;
    const auto order = reverse ? Order(b.first, a.first, &context.budget)
                               : Order(a.first, b.first, &context.budget);
    if (!order.ok()) error = order.status();
    return order.ok() && *order < 0;
  };
  std::stable_sort(keyed.begin(), keyed.end(), less);
  SSMD_RETURN_IF_ERROR(error);
  std::vector<Value> items;
  for (Keyed& entry : keyed) items.push_back(std::move(entry.second));
  return MakeSequence(std::move(items));
}

absl::StatusOr<Value> FilterLength(Context& context, const Value& input, const Bound&) {
  SSMD_ASSIGN_OR_RETURN(const int64_t length, Length(input, &context.budget));
  return Value::Int(length);
}

absl::StatusOr<Value> FilterList(Context& context, const Value& input, const Bound&) {
  SSMD_ASSIGN_OR_RETURN(const Items items, Iterate(input, &context.budget));
  SSMD_RETURN_IF_ERROR(context.budget.ChargeElements(items->items.size()));
  return MakeSequence(items->items);
}

absl::StatusOr<Value> FilterFirst(Context& context, const Value& input, const Bound&) {
  SSMD_ASSIGN_OR_RETURN(const Items items, Iterate(input, &context.budget));
  return items->items.empty() ? Value::MakeUndefined("there is no first element")
                              : items->items.front();
}

absl::StatusOr<Value> FilterLast(Context& context, const Value& input, const Bound&) {
  SSMD_ASSIGN_OR_RETURN(const Items items, Iterate(input, &context.budget));
  return items->items.empty() ? Value::MakeUndefined("there is no last element")
                              : items->items.back();
}

// Parameters: default_value, boolean.
absl::StatusOr<Value> FilterDefault(Context&, const Value& input, const Bound& arguments) {
  const bool absent = input.is_undefined() || (arguments.Flag(1, false) && !input.Truth());
  if (!absent) return input;
  return arguments[0].has_value() ? *arguments[0] : Value::String("");
}

// Parameters: d, attribute.
absl::StatusOr<Value> FilterJoin(Context& context, const Value& input, const Bound& arguments) {
  Text separator;
  if (arguments[0].has_value()) {
    SSMD_ASSIGN_OR_RETURN(separator, Str(*arguments[0], &context.budget));
  }
  SSMD_ASSIGN_OR_RETURN(const Items items, Iterate(input, &context.budget));
  Text joined;
  for (size_t i = 0; i < items->items.size(); ++i) {
    Value item = items->items[i];
    if (arguments[1].has_value() && !arguments[1]->is_none()) {
      SSMD_ASSIGN_OR_RETURN(item, FollowPath(context, item, *arguments[1]));
    }
    SSMD_ASSIGN_OR_RETURN(const Text text, Str(item, &context.budget));
    SSMD_RETURN_IF_ERROR(context.budget.Charge(separator.cost() + text.cost()));
    if (i > 0) joined.Append(separator);
    joined.Append(text);
  }
  return Value::String(std::move(joined));
}

absl::StatusOr<Value> FilterReverse(Context& context, const Value& input, const Bound&) {
  if (input.is_string()) {
    return GetSlice(input, {std::nullopt, std::nullopt, -1}, &context.budget);
  }
  SSMD_ASSIGN_OR_RETURN(const Items items, Iterate(input, &context.budget));
  SSMD_RETURN_IF_ERROR(context.budget.ChargeElements(items->items.size()));
  return MakeSequence({items->items.rbegin(), items->items.rend()}, Sequence::Form::kOnce);
}

absl::StatusOr<std::vector<Value>> MembersOf(Context& context, const Dict& dict) {
  SSMD_RETURN_IF_ERROR(context.budget.ChargeElements(dict.members.size() * 4));
  std::vector<Value> members;
  for (const auto& [key, value] : dict.members) {
    SSMD_ASSIGN_OR_RETURN(Value member, MakeSequence({key, value}, Sequence::Form::kTuple));
    members.push_back(std::move(member));
  }
  return members;
}

absl::StatusOr<Value> FilterItems(Context& context, const Value& input, const Bound&) {
  if (input.is_undefined()) return MakeSequence({}, Sequence::Form::kOnce);
  if (!input.is_dict()) return TypeError("a dict is wanted, not", input);
  SSMD_ASSIGN_OR_RETURN(auto members, MembersOf(context, input.dict()));
  return MakeSequence(std::move(members), Sequence::Form::kOnce);
}

// Parameters: case_sensitive, by, reverse.
absl::StatusOr<Value> FilterDictSort(Context& context, const Value& input, const Bound& arguments) {
  if (!input.is_dict()) return TypeError("a dict is wanted, not", input);
  const std::string by =
      arguments[1].has_value() && arguments[1]->is_string() ? arguments[1]->text().bytes() : "key";
  if (by != "key" && by != "value") {
    return absl::InvalidArgumentError("sorts by 'key' or by 'value'");
  }
  SSMD_ASSIGN_OR_RETURN(auto members, MembersOf(context, input.dict()));
  std::vector<Keyed> keyed;
  for (Value& member : members) {
    const Value& by_value = member.sequence().items[by == "key" ? 0 : 1];
    SSMD_ASSIGN_OR_RETURN(Value key,
                          SortKeyOf(context, by_value, Value(), arguments.Flag(0, false)));
    keyed.emplace_back(std::move(key), std::move(member));
  }
  return SortKeyed(context, std::move(keyed), arguments.Flag(2, false));
}

// Parameters: reverse, case_sensitive, attribute.
absl::StatusOr<Value> FilterSort(Context& context, const Value& input, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Items items, Iterate(input, &context.budget));
  SSMD_RETURN_IF_ERROR(context.budget.ChargeElements(items->items.size() * 3));
  std::vector<Keyed> keyed;
  for (const Value& item : items->items) {
    SSMD_ASSIGN_OR_RETURN(Value key,
                          SortKeysOf(context, item, arguments.Get(2), arguments.Flag(1, false)));
    keyed.emplace_back(std::move(key), item);
  }
  return SortKeyed(context, std::move(keyed), arguments.Flag(0, false));
}

// Parameters: case_sensitive, attribute.
absl::StatusOr<Value> FilterUnique(Context& context, const Value& input, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Items items, Iterate(input, &context.budget));
  SSMD_RETURN_IF_ERROR(context.budget.ChargeElements(items->items.size() * 3));
  Dict seen;
  std::vector<Value> kept;
  for (const Value& item : items->items) {
    SSMD_ASSIGN_OR_RETURN(Value key,
                          SortKeyOf(context, item, arguments.Get(1), arguments.Flag(0, false)));
    if (seen.Find(key) != nullptr) continue;
    SSMD_RETURN_IF_ERROR(seen.Set(std::move(key), Value::None()));
    kept.push_back(item);
  }
  return MakeSequence(std::move(kept), Sequence::Form::kOnce);
}

// Parameters: case_sensitive, attribute.
absl::StatusOr<Value> Extreme(Context& context, const Value& input, const Bound& arguments,
                              bool largest) {
  SSMD_ASSIGN_OR_RETURN(const Items items, Iterate(input, &context.budget));
  if (items->items.empty()) return Value::MakeUndefined("there is no element");
  std::optional<Keyed> best;
  for (const Value& item : items->items) {
    SSMD_ASSIGN_OR_RETURN(Value key,
                          SortKeyOf(context, item, arguments.Get(1), arguments.Flag(0, false)));
    if (best.has_value()) {
      SSMD_ASSIGN_OR_RETURN(const int order, Order(key, best->first, &context.budget));
      if (largest ? order <= 0 : order >= 0) continue;
    }
    best.emplace(std::move(key), item);
  }
  return best->second;
}
absl::StatusOr<Value> FilterMin(Context& context, const Value& input, const Bound& arguments) {
  return Extreme(context, input, arguments, false);
}
absl::StatusOr<Value> FilterMax(Context& context, const Value& input, const Bound& arguments) {
  return Extreme(context, input, arguments, true);
}

// Parameters: attribute, start.
absl::StatusOr<Value> FilterSum(Context& context, const Value& input, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Items items, Iterate(input, &context.budget));
  Value sum = arguments[1].has_value() ? *arguments[1] : Value::Int(0);
  for (const Value& item : items->items) {
    Value term = item;
    if (arguments[0].has_value() && !arguments[0]->is_none()) {
      SSMD_ASSIGN_OR_RETURN(term, FollowPath(context, item, *arguments[0]));
    }
    SSMD_ASSIGN_OR_RETURN(sum, Calculate(Binary::Operation::kAdd, sum, term, &context.budget));
  }
  return sum;
}

absl::StatusOr<Value> FilterAttr(Context& context, const Value& input, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Text name, arguments.String(0));
  // Of a dict, attributes are its methods, not its members.
  if (input.is_dict()) return Value::MakeUndefined("a dict's members are no attributes");
  return GetAttribute(input, name.bytes(), &context.budget);
}

CallArguments Rest(const CallArguments& arguments, size_t used) {
  CallArguments rest;
  rest.positional.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(used),
                         arguments.positional.end());
  rest.named = arguments.named;
  return rest;
}

absl::StatusOr<std::string> NameIn(const CallArguments& arguments, size_t i) {
  if (i < arguments.positional.size() && arguments.positional[i].is_string()) {
    return arguments.positional[i].text().bytes();
  }
  return absl::InvalidArgumentError("needs a name");
}

// Nothing in what is false, even where that has no elements: None.
absl::StatusOr<Items> ItemsOrNone(Context& context, const Value& input) {
  if (!input.Truth()) return std::make_shared<const Sequence>();
  SSMD_ASSIGN_OR_RETURN(Items items, Iterate(input, &context.budget));
  SSMD_RETURN_IF_ERROR(context.budget.ChargeElements(items->items.size()));
  return items;
}

absl::StatusOr<Value> FilterMap(Context& context, const Value& input,
                                const CallArguments& arguments) {
  SSMD_ASSIGN_OR_RETURN(const Items items, ItemsOrNone(context, input));
  std::vector<Value> mapped;
  if (arguments.positional.empty()) {
    static constexpr std::string_view kNames[] = {"attribute", "default"};
    SSMD_ASSIGN_OR_RETURN(const Bound named, Bound::Make(arguments, kNames));
    SSMD_ASSIGN_OR_RETURN(const Value attribute, named.Require(0));
    for (const Value& item : items->items) {
      SSMD_ASSIGN_OR_RETURN(Value found, FollowPath(context, item, attribute));
      mapped.push_back(found.is_undefined() && named[1].has_value() ? *named[1] : std::move(found));
    }
    return MakeSequence(std::move(mapped), Sequence::Form::kOnce);
  }
  SSMD_ASSIGN_OR_RETURN(const std::string name, NameIn(arguments, 0));
  const Builtin* filter = FindFilter(name);
  if (filter == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("there is no filter '", name, "'"));
  }
  const CallArguments rest = Rest(arguments, 1);
  for (const Value& item : items->items) {
    SSMD_ASSIGN_OR_RETURN(Value result, filter->Apply(context, item, rest));
    mapped.push_back(std::move(result));
  }
  return MakeSequence(std::move(mapped), Sequence::Form::kOnce);
}

// Keeps the items that a test holds for, or their attribute; or those it does not hold for.
absl::StatusOr<Value> Pick(Context& context, const Value& input, const CallArguments& arguments,
                           bool by_attribute, bool wanted) {
  const size_t skipped = by_attribute ? 1 : 0;
  if (by_attribute && arguments.positional.empty()) {
    return absl::InvalidArgumentError("needs the name of an attribute");
  }
  const Builtin* test = nullptr;
  if (arguments.positional.size() > skipped) {
    SSMD_ASSIGN_OR_RETURN(const std::string name, NameIn(arguments, skipped));
    test = FindTest(name);
    if (test == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("there is no test '", name, "'"));
    }
  }
  const CallArguments rest = test != nullptr ? Rest(arguments, skipped + 1) : CallArguments();
  SSMD_ASSIGN_OR_RETURN(const Items items, ItemsOrNone(context, input));
  std::vector<Value> kept;
  for (const Value& item : items->items) {
    Value tested = item;
    if (by_attribute) {
      SSMD_ASSIGN_OR_RETURN(tested, FollowPath(context, item, arguments.positional[0]));
    }
    if (test != nullptr) {
      SSMD_ASSIGN_OR_RETURN(tested, test->Apply(context, tested, rest));
    }
    if (tested.Truth() == wanted) kept.push_back(item);
  }
  return MakeSequence(std::move(kept), Sequence::Form::kOnce);
}
absl::StatusOr<Value> FilterSelect(Context& context, const Value& input,
                                   const CallArguments& arguments) {
  return Pick(context, input, arguments, false, true);
}
absl::StatusOr<Value> FilterReject(Context& context, const Value& input,
                                   const CallArguments& arguments) {
  return Pick(context, input, arguments, false, false);
}
absl::StatusOr<Value> FilterSelectAttr(Context& context, const Value& input,
                                       const CallArguments& arguments) {
  return Pick(context, input, arguments, true, true);
}
absl::StatusOr<Value> FilterRejectAttr(Context& context, const Value& input,
                                       const CallArguments& arguments) {
  return Pick(context, input, arguments, true, false);
}

// Parameters: linecount, fill_with.
absl::StatusOr<Value> FilterBatch(Context& context, const Value& input, const Bound& arguments) {
  SSMD_ASSIGN_OR_RETURN(const int64_t size, arguments.Integer(0, 0));
  if (size < 1) return absl::InvalidArgumentError("batches must hold at least one");
  SSMD_ASSIGN_OR_RETURN(const Items items, Iterate(input, &context.budget));
  SSMD_RETURN_IF_ERROR(context.budget.ChargeElements(items->items.size() * 3));
  std::vector<Value> batches;
  for (size_t begin = 0; begin < items->items.size();) {
    const size_t end = begin + std::min(static_cast<size_t>(size), items->items.size() - begin);
    std::vector<Value> batch(items->items.begin() + static_cast<std::ptrdiff_t>(begin),
                             items->items.begin() + static_cast<std::ptrdiff_t>(end));
    while (arguments[1].has_value() && !arguments[1]->is_none() &&
           batch.size() < static_cast<size_t>(size)) {
      SSMD_RETURN_IF_ERROR(context.budget.ChargeElements(1));
      batch.push_back(*arguments[1]);
    }
    SSMD_ASSIGN_OR_RETURN(Value made, MakeSequence(std::move(batch)));
    batches.push_back(std::move(made));
    begin = end;
  }
  return MakeSequence(std::move(batches), Sequence::Form::kOnce);
}

}  // namespace

absl::Span<const Builtin> SequenceFilters() {
  static const std::vector<Builtin> kFilters = {
      {"attr", {"name"}, FilterAttr},
      {"batch", {"linecount", "fill_with"}, FilterBatch},
      {"count", {}, FilterLength},
      {"d", {"default_value", "boolean"}, FilterDefault},
      {"default", {"default_value", "boolean"}, FilterDefault},
      {"dictsort", {"case_sensitive", "by", "reverse"}, FilterDictSort},
      {"first", {}, FilterFirst},
      {"items", {}, FilterItems},
      {"join", {"d", "attribute"}, FilterJoin},
      {"last", {}, FilterLast},
      {"length", {}, FilterLength},
      {"list", {}, FilterList},
      {"map", {}, nullptr, FilterMap},
      {"max", {"case_sensitive", "attribute"}, FilterMax},
      {"min", {"case_sensitive", "attribute"}, FilterMin},
      {"reject", {}, nullptr, FilterReject},
      {"rejectattr", {}, nullptr, FilterRejectAttr},
      {"reverse", {}, FilterReverse},
      {"select", {}, nullptr, FilterSelect},
      {"selectattr", {}, nullptr, FilterSelectAttr},
      {"sort", {"reverse", "case_sensitive", "attribute"}, FilterSort},
      {"sum", {"attribute", "start"}, FilterSum},
      {"unique", {"case_sensitive", "attribute"}, FilterUnique},
  };
  return kFilters;
}

}  // namespace ssmd::jinja
