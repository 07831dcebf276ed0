// Any bytes as RWKV's vocabulary: refused, or what it encodes is the text again.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "engine/text/longest_match.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view lines(reinterpret_cast<const char*>(data), size);
  auto parts = ssmd::ReadRwkvVocabulary(lines, "fuzz");
  if (!parts.ok()) return 0;
  // Bytes that the lines leave out, so that more of them make a tokenizer.
  const auto given = parts->vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    bool there = false;
    for (const auto& token : given) there = there || token.bytes == text;
    if (!there) parts->vocabulary.push_back({100000 + byte, text});
  }
  const auto tokenizer = ssmd::MakeLongestMatch(*std::move(parts));
  if (!tokenizer.ok()) return 0;
  const std::string_view text = "abcabd  ab\xC3\xA9\xE2\x80\xA8<|endoftext|>\n\n12";
  const auto ids = (*tokenizer)->Encode(text, {.parse_special = true});
  if (!ids.ok()) std::abort();
  std::string back;
  for (const int32_t id : *ids) {
    if (id < 0 || id >= (*tokenizer)->size()) std::abort();
    back += (*tokenizer)->TokenBytes(id);
  }
  if (back != text) std::abort();
  return 0;
}
