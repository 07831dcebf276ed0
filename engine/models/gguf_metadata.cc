#include "engine/models/gguf_metadata.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/text_view.h"

namespace ssmd {
namespace {

constexpr size_t kMaxMemberBytes = 128;  // of a key, or a string
constexpr JsonLimits kMetadataLimits = {
    .bytes = size_t{64} << 20, .values = kMaxGgufKeys + 1, .depth = 2, .allow_non_finite = true};

// Fit to stand between quotes as it is.
bool IsPlain(std::string_view text) {
  return text.size() <= kMaxMemberBytes && std::all_of(text.begin(), text.end(), [](char c) {
           return c >= ' ' && c <= '~' && c != '"' && c != '\\';
         });
}

// Nine digits are enough to give every f32 back.
std::string NumberJson(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
  const bool narrow = double{static_cast<float>(number)} == number;
  std::string text = absl::StrFormat("%.*g", narrow ? 9 : 17, number);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";  // no whole number
  return text;
}

std::optional<std::string> ScalarJson(const GgufValue& value) {
  if (const auto flag = value.AsBool()) return *flag ? "true" : "false";
  if (const auto number = value.AsInt()) return absl::StrCat(*number);
  if (const auto number = value.AsDouble()) return NumberJson(*number);
  const auto text = value.AsString();
  if (!text || !IsPlain(*text)) return std::nullopt;
  return absl::StrCat("\"", View(*text), "\"");
}

}  // namespace

absl::StatusOr<JsonDocument> ReadGgufMetadata(const Gguf& gguf) {
  std::string json = "{";
  for (const auto& [key, value] : gguf.metadata()) {
    if (!IsPlain(key)) continue;
    const auto scalar = ScalarJson(value);
    if (!scalar) continue;
    absl::StrAppend(&json, json.size() > 1 ? "," : "", "\"", View(key), "\":", *scalar);
  }
  return JsonDocument::Parse(json + "}", gguf.source(), kMetadataLimits);
}

}  // namespace ssmd
