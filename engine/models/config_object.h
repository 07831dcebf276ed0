// Typed, range-checked reading of one JSON object of a configuration file.
//
// A member that is null counts as absent, as Python writes None, but where RefuseNull says
// otherwise. Errors are INVALID_ARGUMENT and read "config.json: hidden_size must be a whole number
// in [1, 65536], got -1". A view: the JsonDocument must outlive it.
#ifndef SSMD_ENGINE_MODELS_CONFIG_OBJECT_H_
#define SSMD_ENGINE_MODELS_CONFIG_OBJECT_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/formats/json.h"

namespace ssmd {

class ConfigObject {
 public:
  // `prefix` opens the name of every member in errors: "config.json: " or "config.json: ssm_cfg.".
  // An absent object has no members.
  ConfigObject(std::optional<JsonValue> object, std::string prefix)
      : object_(object), prefix_(std::move(prefix)) {}

  bool absent() const { return !object_.has_value(); }
  bool Has(std::string_view key) const { return Find(key).has_value(); }
  std::optional<JsonValue> Find(std::string_view key) const;
  // Whether it is there, if only as null.
  bool Mentions(std::string_view key) const;

  absl::StatusOr<int64_t> Int(std::string_view key, int64_t min, int64_t max) const;
  absl::StatusOr<int64_t> IntOr(std::string_view key, int64_t fallback, int64_t min,
                                int64_t max) const;
  absl::StatusOr<double> Number(std::string_view key, double min, double max) const;
  absl::StatusOr<double> NumberOr(std::string_view key, double fallback, double min,
                                  double max) const;
  absl::StatusOr<std::optional<bool>> Bool(std::string_view key) const;
  absl::StatusOr<std::string> StringOr(std::string_view key, std::string_view fallback) const;
  // The object under `key`; an empty one where it is absent.
  absl::StatusOr<ConfigObject> Object(std::string_view key) const;

  // INVALID_ARGUMENT where there is a member that is none of these.
  absl::Status AllowOnly(std::span<const std::string_view> known) const;
  // INVALID_ARGUMENT where a member is null that is none of `allowed`.
  absl::Status RefuseNull(std::span<const std::string_view> allowed = {}) const;

  absl::Status Error(std::string_view key, std::string_view reason) const;
  // "<prefix><key>", as errors call it
  std::string NameOf(std::string_view key) const;
  // "<prefix><key> <text>", as errors are
  std::string Message(std::string_view key, std::string_view text) const;

 private:
  absl::StatusOr<int64_t> CheckInt(std::string_view key, JsonValue value, int64_t min,
                                   int64_t max) const;
  absl::StatusOr<double> CheckNumber(std::string_view key, JsonValue value, double min,
                                     double max) const;

  std::optional<JsonValue> object_;
  std::string prefix_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_CONFIG_OBJECT_H_
