#include "engine/models/config_object.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace ssmd {
absl::Status ConfigObject::AllowOnly(std::span<const std::string_view> known) const {
  if (!object_) return absl::OkStatus();
  for (const auto& [key, value] : object_->members()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    return Error(
        key,
        absl::StrCat("is not known here; these are: ",
                     absl::StrJoin(std::vector<std::string>(known.begin(), known.end()), ", ")));
  }
  return absl::OkStatus();
}

absl::Status ConfigObject::RefuseNull(std::span<const std::string_view> allowed) const {
  if (!object_) return absl::OkStatus();
  for (const auto& [key, value] : object_->members()) {
    if (!value.is_null() || std::find(allowed.begin(), allowed.end(), key) != allowed.end()) {
      continue;
    }
    return Error(key, "must not be null; leave it out where its default is meant");
  }
  return absl::OkStatus();
}

bool ConfigObject::Mentions(std::string_view key) const {
  return object_ && object_->Find(key).has_value();
}

std::optional<JsonValue> ConfigObject::Find(std::string_view key) const {
  if (!object_) return std::nullopt;
  const std::optional<JsonValue> value = object_->Find(key);
  if (value && value->is_null()) return std::nullopt;
  return value;
}

absl::StatusOr<int64_t> ConfigObject::CheckInt(std::string_view key, JsonValue value, int64_t min,
                                               int64_t max) const {
  const std::optional<int64_t> number = value.AsInt();
  if (number && *number >= min && *number <= max) return *number;
  const bool written_as_float = !number && value.AsDouble().has_value();
  return Error(key, absl::StrCat("must be a whole number in [", min, ", ", max, "], got ",
                                 value.Describe(), written_as_float ? " as a float" : ""));
}

absl::StatusOr<double> ConfigObject::CheckNumber(std::string_view key, JsonValue value, double min,
                                                 double max) const {
  const std::optional<double> number = value.AsDouble();
  if (number && *number >= min && *number <= max) return *number;
  return Error(key,
               absl::StrCat("must be a number in [", min, ", ", max, "], got ", value.Describe()));
}

absl::StatusOr<double> ConfigObject::Number(std::string_view key, double min, double max) const {
  const auto value = Find(key);
  if (!value) return Error(key, "is missing");
  return CheckNumber(key, *value, min, max);
}

absl::StatusOr<int64_t> ConfigObject::Int(std::string_view key, int64_t min, int64_t max) const {
  const auto value = Find(key);
  if (!value) return Error(key, "is missing");
  return CheckInt(key, *value, min, max);
}

absl::StatusOr<int64_t> ConfigObject::IntOr(std::string_view key, int64_t fallback, int64_t min,
                                            int64_t max) const {
  const auto value = Find(key);
  if (!value) return fallback;
  return CheckInt(key, *value, min, max);
}

absl::StatusOr<double> ConfigObject::NumberOr(std::string_view key, double fallback, double min,
                                              double max) const {
  const auto value = Find(key);
  if (!value) return fallback;
  return CheckNumber(key, *value, min, max);
}

absl::StatusOr<std::optional<bool>> ConfigObject::Bool(std::string_view key) const {
  const auto value = Find(key);
  if (!value) return std::optional<bool>();
  const std::optional<bool> flag = value->AsBool();
  if (flag) return flag;
  return Error(key, absl::StrCat("must be true or false, got ", value->Describe()));
}

absl::StatusOr<std::string> ConfigObject::StringOr(std::string_view key,
                                                   std::string_view fallback) const {
  const auto value = Find(key);
  if (!value) return std::string(fallback);
  const std::optional<std::string_view> text = value->AsString();
  if (text) return std::string(*text);
  return Error(key, absl::StrCat("must be a string, got ", value->Describe()));
}

absl::StatusOr<ConfigObject> ConfigObject::Object(std::string_view key) const {
  std::string prefix = NameOf(key) + ".";
  const auto value = Find(key);
  if (!value) return ConfigObject(std::nullopt, std::move(prefix));
  if (value->is_object()) return ConfigObject(value, std::move(prefix));
  return Error(key, absl::StrCat("must be an object, got ", value->Describe()));
}

absl::Status ConfigObject::Error(std::string_view key, std::string_view reason) const {
  return absl::InvalidArgumentError(Message(key, reason));
}

std::string ConfigObject::NameOf(std::string_view key) const {
  return absl::StrCat(prefix_, std::string(key));
}

std::string ConfigObject::Message(std::string_view key, std::string_view text) const {
  return absl::StrCat(NameOf(key), " ", std::string(text));
}

}  // namespace ssmd
