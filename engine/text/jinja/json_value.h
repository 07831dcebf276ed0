// JSON as values of a template.
#ifndef SSMD_ENGINE_TEXT_JINJA_JSON_VALUE_H_
#define SSMD_ENGINE_TEXT_JINJA_JSON_VALUE_H_

#include "absl/status/statusor.h"
#include "engine/formats/json.h"
#include "engine/text/jinja/value.h"

namespace ssmd::jinja {

// Strings and keys are of `origin`. INVALID_ARGUMENT where it is nested too deeply.
absl::StatusOr<Value> FromJson(const JsonValue& json, Origin origin);

}  // namespace ssmd::jinja

#endif  // SSMD_ENGINE_TEXT_JINJA_JSON_VALUE_H_
