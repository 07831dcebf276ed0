// The printable characters that byte-level BPE files write bytes as (GPT-2's bytes_to_unicode): one
// character of U+0021..U+0143 for each byte.
#ifndef SSMD_ENGINE_TEXT_BYTE_ALPHABET_H_
#define SSMD_ENGINE_TEXT_BYTE_ALPHABET_H_

#include <optional>
#include <string>
#include <string_view>

namespace ssmd {

char32_t ByteToAlphabet(unsigned char byte);
std::optional<unsigned char> AlphabetToByte(char32_t character);

// The bytes that `text` writes; absent where a character is not of the alphabet. REQUIRES: UTF-8.
std::optional<std::string> BytesWrittenBy(std::string_view text);

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_BYTE_ALPHABET_H_
