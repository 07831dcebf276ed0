// Any bytes: JsonDocument either refuses them or yields a tree within its limits that can be
// walked, whose strings are UTF-8.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "engine/formats/json.h"

namespace {

constexpr int kDepth = 16;
constexpr size_t kValues = 1000;

// Bytes of well-formed UTF-8 at the front of `text`, one character's worth; 0 where malformed.
size_t CharacterBytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  const size_t bytes = lead < 0x80   ? 1
                       : lead < 0xC2 ? 0
                       : lead < 0xE0 ? 2
                       : lead < 0xF0 ? 3
                       : lead < 0xF5 ? 4
                                     : 0;
  if (bytes == 0 || bytes > text.size()) return 0;
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  if ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F)) return 0;
  if ((lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F)) return 0;
  return bytes;
}

void CheckUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t bytes = CharacterBytes(text);
    if (bytes == 0) std::abort();
    text.remove_prefix(bytes);
  }
}

size_t Walk(ssmd::JsonValue value, int depth) {
  if (depth > kDepth) std::abort();
  if (value.Describe().empty()) std::abort();
  if (const auto text = value.AsString()) CheckUtf8(*text);
  const int inner = depth + (value.is_array() || value.is_object() ? 1 : 0);
  size_t count = 1;
  for (const ssmd::JsonValue element : value.elements()) count += Walk(element, inner);
  for (const auto& [key, member] : value.members()) {
    CheckUtf8(key);
    if (!value.Find(key)) std::abort();
    count += Walk(member, inner);
  }
  return count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  for (const bool allow_non_finite : {false, true}) {
    ssmd::JsonLimits limits;
    limits.bytes = 1 << 16;
    limits.values = kValues;
    limits.depth = kDepth;
    limits.allow_non_finite = allow_non_finite;
    const auto document = ssmd::JsonDocument::Parse(
        std::string(reinterpret_cast<const char*>(data), size), "fuzz", limits);
    if (document.ok() && Walk(document->root(), 0) > kValues) std::abort();
  }
  return 0;
}
