// UTF-8 at the byte level, by the Unicode Standard's table 3-7: no overlong forms, no surrogates,
// nothing above U+10FFFF.
#ifndef SSMD_ENGINE_TEXT_UTF8_H_
#define SSMD_ENGINE_TEXT_UTF8_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace ssmd {

enum class Utf8Kind : unsigned char {
  kCharacter,   // a whole character
  kIllFormed,   // a maximal ill-formed sequence: what one U+FFFD stands for
  kIncomplete,  // the text ends within what may become a character
};

struct Utf8Step {
  Utf8Kind kind = Utf8Kind::kCharacter;
  size_t bytes = 0;
};

// What `text` begins with. REQUIRES: text is not empty.
Utf8Step NextUtf8(std::string_view text);

// The offset of the first byte that is not part of a whole character; absent for UTF-8.
std::optional<size_t> FindInvalidUtf8(std::string_view text);

struct CodePoint {
  char32_t value = 0;
  size_t bytes = 0;
};

// The character at `offset`. REQUIRES: text is UTF-8 and one begins there.
inline CodePoint DecodeUtf8(std::string_view text, size_t offset) {
  const auto byte = [&](size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[offset + i]));
  };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (lead < 0xF0) return {(lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F),
          4};
}

// The character that ends before `offset`. REQUIRES: text is UTF-8 and offset, > 0, lies between
// two characters or at the end.
CodePoint DecodeUtf8Before(std::string_view text, size_t offset);

void AppendUtf8(char32_t code_point, std::string* text);

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_UTF8_H_
