// Values as text: as Python's str() and repr() write them, and as Hugging Face's tojson does.
#ifndef SSMD_ENGINE_TEXT_JINJA_PRINT_H_
#define SSMD_ENGINE_TEXT_JINJA_PRINT_H_

#include <string>

#include "absl/status/statusor.h"
#include "engine/text/jinja/budget.h"
#include "engine/text/jinja/value.h"

namespace ssmd::jinja {

// INVALID_ARGUMENT for what has no text of its own (namespaces, functions, iterators).
absl::StatusOr<Text> Str(const Value& value, Budget* budget);
absl::StatusOr<Text> Repr(const Value& value, Budget* budget);

struct JsonStyle {
  bool ensure_ascii = false;
  bool indented = false;
  Text indent;  // of one level, where indented
  Text item_separator{", "};
  Text key_separator{": "};
  bool sort_keys = false;
};
absl::StatusOr<Text> ToJson(const Value& value, const JsonStyle& style, Budget* budget);

std::string ReprOfFloat(double value);

}  // namespace ssmd::jinja

#endif  // SSMD_ENGINE_TEXT_JINJA_PRINT_H_
