#include "engine/text/json_fields.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/text_view.h"

namespace ssmd {

JsonField JsonField::Root(std::string_view file, JsonValue value) {
  return JsonField(absl::StrCat(View(file), ": "), true, value);
}

std::optional<JsonField> JsonField::Find(std::string_view key) const {
  const auto found = value_.Find(key);
  if (!found.has_value() || found->is_null()) return std::nullopt;
  return JsonField(absl::StrCat(place_, is_root_ ? "" : ".", View(key)), false, *found);
}

absl::StatusOr<JsonField> JsonField::Require(std::string_view key) const {
  if (auto found = Find(key)) return *std::move(found);
  return Error(absl::StrCat("has no \"", View(key), "\""));
}

JsonField JsonField::Element(size_t i) const {
  return JsonField(absl::StrCat(place_, "[", i, "]"), false, value_.elements()[i]);
}

absl::StatusOr<std::string_view> JsonField::String() const {
  if (const auto text = value_.AsString()) return *text;
  return Error(absl::StrCat("must be a string, not ", value_.Describe()));
}

absl::StatusOr<bool> JsonField::Bool() const {
  if (const auto flag = value_.AsBool()) return *flag;
  return Error(absl::StrCat("must be true or false, not ", value_.Describe()));
}

absl::StatusOr<JsonArray> JsonField::Array() const {
  if (value_.is_array()) return value_.elements();
  return Error(absl::StrCat("must be an array, not ", value_.Describe()));
}

absl::StatusOr<JsonObject> JsonField::Object() const {
  if (value_.is_object()) return value_.members();
  return Error(absl::StrCat("must be an object, not ", value_.Describe()));
}

absl::Status JsonField::Error(std::string_view problem) const {
  return absl::InvalidArgumentError(absl::StrCat(place_, is_root_ ? "" : ": ", View(problem)));
}

absl::Status JsonField::Unsupported() const {
  return Error(absl::StrCat(value_.Describe(), " is not supported"));
}

}  // namespace ssmd
