// Reading the fields of a tokenizer's files, with errors that name the file and the field.
#ifndef SSMD_ENGINE_TEXT_JSON_FIELDS_H_
#define SSMD_ENGINE_TEXT_JSON_FIELDS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/formats/json.h"

namespace ssmd {

// A value and the place it was found at, such as "tokenizer.json: model.vocab".
class JsonField {
 public:
  static JsonField Root(std::string_view file, JsonValue value);

  // Absent where there is no such member, or it is null.
  std::optional<JsonField> Find(std::string_view key) const;
  absl::StatusOr<JsonField> Require(std::string_view key) const;
  JsonField Element(size_t i) const;  // REQUIRES: an array of more than i elements

  absl::StatusOr<std::string_view> String() const;
  absl::StatusOr<bool> Bool() const;
  absl::StatusOr<JsonArray> Array() const;
  absl::StatusOr<JsonObject> Object() const;

  const JsonValue& value() const { return value_; }

  // INVALID_ARGUMENT, opened by the place.
  absl::Status Error(std::string_view problem) const;
  absl::Status Unsupported() const;

 private:
  JsonField(std::string place, bool is_root, JsonValue value)
      : place_(std::move(place)), is_root_(is_root), value_(value) {}

  std::string place_;
  bool is_root_;
  JsonValue value_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_JSON_FIELDS_H_
