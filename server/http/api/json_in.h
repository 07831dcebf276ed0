// A JSON object that a caller sent, read member by member. What is wrong is remembered and told by
// Check() at the end: the first member of a wrong type or range, or the first that nobody asked
// for, by its name. A member that is null counts as absent.
#ifndef SSMD_SERVER_HTTP_API_JSON_IN_H_
#define SSMD_SERVER_HTTP_API_JSON_IN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/formats/json.h"

namespace ssmd::server {

// INVALID_ARGUMENT says at which byte a body is no JSON object. An empty one stands for {} where
// `may_be_empty`.
absl::StatusOr<JsonDocument> ParseBody(std::string body, bool may_be_empty = false);

class JsonIn {
 public:
  // `path` opens the names in errors: "", "ssmd.", "messages[0].". A value that is no object is an
  // error.
  JsonIn(JsonValue value, std::string path);

  std::optional<std::string> Text(std::string_view name);
  std::optional<double> Number(std::string_view name);
  // Of int32, or of `low` to `high`.
  std::optional<int32_t> Int(std::string_view name);
  std::optional<int64_t> Long(std::string_view name, int64_t low, int64_t high);
  std::optional<bool> Flag(std::string_view name);
  // An array of integers.
  std::optional<std::vector<int32_t>> Ids(std::string_view name);
  // Of any type.
  std::optional<JsonValue> Any(std::string_view name);
  // Known, and of no consequence.
  void Ignore(std::string_view name) { Any(name); }

  std::string NameOf(std::string_view name) const;
  // INVALID_ARGUMENT: that `name` must be `what`.
  void Refuse(std::string_view name, std::string_view what);
  void Fail(absl::Status status) { error_.Update(std::move(status)); }
  absl::Status Check() const;

 private:
  const JsonValue value_;
  const std::string path_;
  std::vector<std::string_view> asked_;
  absl::Status error_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_API_JSON_IN_H_
