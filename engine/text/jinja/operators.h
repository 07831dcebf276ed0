// What expressions do to values, as Python does it. Errors are INVALID_ARGUMENT and name the types.
#ifndef SSMD_ENGINE_TEXT_JINJA_OPERATORS_H_
#define SSMD_ENGINE_TEXT_JINJA_OPERATORS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/jinja/budget.h"
#include "engine/text/jinja/syntax.h"
#include "engine/text/jinja/value.h"

namespace ssmd::jinja {

absl::StatusOr<Value> Calculate(Binary::Operation operation, const Value& left, const Value& right,
                                Budget* budget);
absl::StatusOr<Value> Negate(const Value& value);
absl::StatusOr<bool> Compare(Comparison comparison, const Value& left, const Value& right,
                             Budget* budget);
absl::StatusOr<bool> Equal(const Value& left, const Value& right, Budget* budget);
// Less than 0, 0 or more: what sorts and < go by.
absl::StatusOr<int> Order(const Value& left, const Value& right, Budget* budget);

// The elements of a value, as `for` sees them: a string's characters, a dict's keys.
absl::StatusOr<std::shared_ptr<const Sequence>> Iterate(const Value& value, Budget* budget);
absl::StatusOr<int64_t> Length(const Value& value, Budget* budget);

// object.name and object[index]: what is absent is undefined. The first looks for methods before
// members, the second the other way round.
absl::StatusOr<Value> GetAttribute(const Value& object, std::string_view name, Budget* budget);
absl::StatusOr<Value> GetItem(const Value& object, const Value& index, Budget* budget);
struct SliceBounds {
  std::optional<int64_t> start;
  std::optional<int64_t> stop;
  int64_t step = 1;
};
absl::StatusOr<Value> GetSlice(const Value& object, const SliceBounds& bounds, Budget* budget);

// Only what is defined may be calculated with.
absl::Status CheckDefined(const Value& value);
absl::Status TypeError(std::string_view what, const Value& value);

}  // namespace ssmd::jinja

#endif  // SSMD_ENGINE_TEXT_JINJA_OPERATORS_H_
