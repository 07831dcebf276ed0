// Attributes, elements and slices of values. See operators.h.
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/print.h"
#include "engine/text/jinja/strings.h"

namespace ssmd::jinja {
namespace {

Value NoAttribute(const Value& object, std::string_view name) {
  return Value::MakeUndefined(
      absl::StrCat("a ", View(object.TypeName()), " has no '", View(name), "'"));
}

Value LoopAttribute(const Loop& loop, std::string_view name) {
  const auto index = static_cast<int64_t>(loop.index);
  const auto length = static_cast<int64_t>(loop.items->items.size());
  if (name == "index") return Value::Int(index + 1);
  if (name == "index0") return Value::Int(index);
  if (name == "revindex") return Value::Int(length - index);
  if (name == "revindex0") return Value::Int(length - index - 1);
  if (name == "first") return Value::Bool(index == 0);
  if (name == "last") return Value::Bool(index + 1 == length);
  if (name == "length") return Value::Int(length);
  // Only a recursive loop is deeper.
  if (name == "depth") return Value::Int(1);
  if (name == "depth0") return Value::Int(0);
  if (name == "previtem" && index > 0) return loop.items->items[loop.index - 1];
  if (name == "nextitem" && index + 1 < length) return loop.items->items[loop.index + 1];
  return Value::MakeUndefined(absl::StrCat("there is no loop.", View(name), " here"));
}

// A method, or a member that only attributes reach; undefined where there is neither.
Value FindNative(const Value& object, std::string_view name) {
  if (object.kind() == Kind::kNamespace) {
    const Value* found = object.name_space().Find(name);
    return found != nullptr ? *found : Value();
  }
  if (const Builtin* method = FindMethod(object, name)) {
    auto function = std::make_shared<Function>();
    function->name = method->name;
    function->self = object;
    function->method = true;
    return Value::Of(std::shared_ptr<const Function>(std::move(function)));
  }
  return object.kind() == Kind::kLoop ? LoopAttribute(object.loop(), name) : Value();
}

// Python's index of a sequence of `size`; absent past its ends.
std::optional<size_t> Position(int64_t index, size_t size) {
  const auto count = static_cast<int64_t>(size);
  if (index < 0) index += count;
  if (index < 0 || index >= count) return std::nullopt;
  return static_cast<size_t>(index);
}

absl::StatusOr<Value> FindItem(const Value& object, const Value& index, Budget* budget) {
  if (object.is_dict()) {
    const Value* found = object.dict().Find(index);
    return found != nullptr ? *found : Value();
  }
  if (object.is_sequence() && object.sequence().indexed() && index.is_integral()) {
    const auto at = Position(index.integer(), object.sequence().items.size());
    return at.has_value() ? object.sequence().items[*at] : Value();
  }
  if (object.is_string() && index.is_integral()) {
    const std::string& bytes = object.text().bytes();
    SSMD_RETURN_IF_ERROR(budget->Charge(bytes.size()));
    const auto at = Position(index.integer(), CountCharacters(bytes));
    if (!at.has_value()) return Value();
    const size_t begin = ByteOfCharacter(bytes, *at);
    return Value::String(object.text().Slice(begin, begin + CharacterBytes(bytes, begin)));
  }
  return Value();
}

// The elements of a slice, as Python counts them.
std::vector<size_t> SlicePositions(const SliceBounds& bounds, size_t size) {
  const auto count = static_cast<int64_t>(size);
  const bool forwards = bounds.step > 0;
  const auto clamp = [&](int64_t at) {
    if (at < 0) at += count;
    return forwards ? std::clamp<int64_t>(at, 0, count) : std::clamp<int64_t>(at, -1, count - 1);
  };
  const int64_t start = bounds.start ? clamp(*bounds.start) : forwards ? 0 : count - 1;
  const int64_t stop = bounds.stop ? clamp(*bounds.stop) : forwards ? count : -1;
  std::vector<size_t> positions;
  // The step may be as large as numbers are: compared by what is left, nothing overflows.
  for (int64_t at = start; forwards ? at < stop : at > stop;) {
    positions.push_back(static_cast<size_t>(at));
    if (forwards ? bounds.step >= stop - at : bounds.step <= stop - at) break;
    at += bounds.step;
  }
  return positions;
}

}  // namespace

absl::StatusOr<Value> GetAttribute(const Value& object, std::string_view name, Budget* budget) {
  SSMD_RETURN_IF_ERROR(CheckDefined(object));
  Value found = FindNative(object, name);
  if (found.is_undefined() && object.is_dict()) {
    SSMD_RETURN_IF_ERROR(budget->Charge(name.size()));
    if (const Value* member = object.dict().Find(name)) found = *member;
  }
  return found.is_undefined() ? NoAttribute(object, name) : found;
}

absl::StatusOr<Value> GetItem(const Value& object, const Value& index, Budget* budget) {
  SSMD_RETURN_IF_ERROR(CheckDefined(object));
  SSMD_ASSIGN_OR_RETURN(Value found, FindItem(object, index, budget));
  if (!found.is_undefined()) return found;
  if (index.is_string()) {
    found = FindNative(object, index.text().bytes());
    return found.is_undefined() ? NoAttribute(object, index.text().bytes()) : found;
  }
  if (index.is_undefined()) return NoAttribute(object, "undefined");
  SSMD_ASSIGN_OR_RETURN(const Text shown, Repr(index, budget));
  return Value::MakeUndefined(
      absl::StrCat("a ", View(object.TypeName()), " has no element ", shown.bytes()));
}

absl::StatusOr<Value> GetSlice(const Value& object, const SliceBounds& bounds, Budget* budget) {
  SSMD_RETURN_IF_ERROR(CheckDefined(object));
  if (bounds.step == 0) return absl::InvalidArgumentError("the step of a slice cannot be 0");
  if (object.is_string()) {
    const Text& text = object.text();
    SSMD_RETURN_IF_ERROR(budget->Charge(text.cost() * 8));
    const std::vector<size_t> starts = CharacterStarts(text.bytes());
    Text part;
    for (const size_t at : SlicePositions(bounds, starts.size())) {
      part.Append(text, starts[at], starts[at] + CharacterBytes(text.bytes(), starts[at]));
    }
    return Value::String(std::move(part));
  }
  if (!object.is_sequence() || !object.sequence().indexed()) {
    return TypeError("a slice is wanted, and there is none of", object);
  }
  const Sequence& sequence = object.sequence();
  SSMD_RETURN_IF_ERROR(budget->ChargeElements(sequence.items.size()));
  std::vector<Value> items;
  for (const size_t at : SlicePositions(bounds, sequence.items.size())) {
    items.push_back(sequence.items[at]);
  }
  return MakeSequence(std::move(items), sequence.form);
}

}  // namespace ssmd::jinja
