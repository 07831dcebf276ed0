#include "engine/text/gpt2_pattern.h"

#include "engine/text/unicode.h"
#include "engine/text/utf8.h"

namespace ssmd {
namespace {

// 's|'t|'re|'ve|'m|'ll|'d: how many bytes of `rest` match; 0 for none.
size_t ContractionBytes(std::string_view rest) {
  if (rest.size() < 2 || rest[0] != '\'') return 0;
  switch (rest[1]) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    case 'r':
    case 'v':
      return rest.size() > 2 && rest[2] == 'e' ? 3 : 0;
    case 'l':
      return rest.size() > 2 && rest[2] == 'l' ? 3 : 0;
    default:
      return 0;
  }
}

constexpr uint8_t kKinds = kLetter | kNumber | kSpace;

uint8_t KindOf(char32_t code_point) { return ClassesOf(code_point) & kKinds; }

// The end of the run of characters of one kind that begins at `at`.
size_t RunEnd(std::string_view text, size_t at, uint8_t kind) {
  while (at < text.size()) {
    const CodePoint next = DecodeUtf8(text, at);
    if (KindOf(next.value) != kind) break;
    at += next.bytes;
  }
  return at;
}

// \s+(?!\S)|\s+ : the run, less its last character where something else follows it and something
// remains.
size_t SpacesEnd(std::string_view text, size_t start) {
  const size_t end = RunEnd(text, start, kSpace);
  if (end == text.size()) return end;
  const size_t before_last = end - DecodeUtf8Before(text, end).bytes;
  return before_last > start ? before_last : end;
}

}  // namespace

size_t Gpt2MatchEnd(std::string_view text, size_t start) {
  if (const size_t bytes = ContractionBytes(text.substr(start)); bytes > 0) return start + bytes;
  size_t at = start;
  if (text[at] == ' ' && at + 1 < text.size()) ++at;
  const uint8_t kind = KindOf(DecodeUtf8(text, at).value);
  if (kind == kSpace) return SpacesEnd(text, start);
  return RunEnd(text, at, kind);
}

}  // namespace ssmd
