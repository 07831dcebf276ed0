// See json_in.h.
#include "server/http/api/json_in.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"
#include "engine/base/text_view.h"

namespace ssmd::server {
namespace {

constexpr int kDepthMax = 32;

// Doubles are whole up to here.
constexpr double kWholeMax = 9007199254740992.0;

// 5 and 5.0.
std::optional<int64_t> Whole(JsonValue value) {
  if (const auto number = value.AsInt()) return number;
  const auto number = value.AsDouble();
  if (!number.has_value() || std::abs(*number) > kWholeMax || std::trunc(*number) != *number) {
    return std::nullopt;
  }
  return static_cast<int64_t>(*number);
}

constexpr int64_t kInt32Min = std::numeric_limits<int32_t>::min();
constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();

}  // namespace

absl::StatusOr<JsonDocument> ParseBody(std::string body, bool may_be_empty) {
  JsonLimits limits;
  limits.bytes = std::numeric_limits<size_t>::max();  // the listener has one
  limits.depth = kDepthMax;
  if (body.empty() && may_be_empty) body = "{}";
  auto document = JsonDocument::Parse(std::move(body), "the request's body", limits);
  if (!document.ok()) return InvalidField(std::string(document.status().message()));
  return document;
}

JsonIn::JsonIn(JsonValue value, std::string path) : value_(value), path_(std::move(path)) {
  if (value.is_object()) return;
  const std::string name = path_.empty() ? "the request's body" : path_.substr(0, path_.size() - 1);
  error_ = InvalidField(absl::StrCat(name, " must be an object, got ", value.Describe()));
}

std::optional<JsonValue> JsonIn::Any(std::string_view name) {
  asked_.push_back(name);
  const auto found = value_.Find(name);
  if (!found.has_value() || found->is_null()) return std::nullopt;
  return found;
}

std::optional<std::string> JsonIn::Text(std::string_view name) {
  const auto value = Any(name);
  if (!value.has_value()) return std::nullopt;
  if (const auto text = value->AsString()) return std::string(*text);
  Refuse(name, "a string");
  return std::nullopt;
}

std::optional<double> JsonIn::Number(std::string_view name) {
  const auto value = Any(name);
  if (!value.has_value()) return std::nullopt;
  if (const auto number = value->AsDouble()) return number;
  Refuse(name, "a number");
  return std::nullopt;
}

std::optional<int32_t> JsonIn::Int(std::string_view name) {
  const auto value = Long(name, kInt32Min, kInt32Max);
  if (!value.has_value()) return std::nullopt;
  return static_cast<int32_t>(*value);
}

std::optional<int64_t> JsonIn::Long(std::string_view name, int64_t low, int64_t high) {
  const auto value = Any(name);
  if (!value.has_value()) return std::nullopt;
  const auto number = Whole(*value);
  if (number.has_value() && *number >= low && *number <= high) return number;
  Refuse(name, absl::StrCat("an integer in [", low, ", ", high, "]"));
  return std::nullopt;
}

std::optional<bool> JsonIn::Flag(std::string_view name) {
  const auto value = Any(name);
  if (!value.has_value()) return std::nullopt;
  if (const auto flag = value->AsBool()) return flag;
  Refuse(name, "true or false");
  return std::nullopt;
}

std::optional<std::vector<int32_t>> JsonIn::Ids(std::string_view name) {
  const auto value = Any(name);
  if (!value.has_value()) return std::nullopt;
  std::vector<int32_t> ids;
  for (const JsonValue element : value->elements()) {
    const auto id = element.AsInt();
    if (!id.has_value() || *id < kInt32Min || *id > kInt32Max) break;
    ids.push_back(static_cast<int32_t>(*id));
  }
  if (value->is_array() && ids.size() == value->elements().size()) return ids;
  Refuse(name, "an array of token ids");
  return std::nullopt;
}

std::string JsonIn::NameOf(std::string_view name) const { return absl::StrCat(path_, View(name)); }

void JsonIn::Refuse(std::string_view name, std::string_view what) {
  const auto value = value_.Find(name);
  const std::string got = value.has_value() ? absl::StrCat(", got ", value->Describe()) : "";
  Fail(InvalidField(absl::StrCat(NameOf(name), " must be ", View(what), got)));
}

absl::Status JsonIn::Check() const {
  if (!error_.ok()) return error_;
  for (const auto& [name, value] : value_.members()) {
    if (std::find(asked_.begin(), asked_.end(), name) != asked_.end()) continue;
    return InvalidField(
        absl::StrCat(NameOf(name).substr(0, 64), " is not a parameter of this request"));
  }
  return absl::OkStatus();
}

}  // namespace ssmd::server
