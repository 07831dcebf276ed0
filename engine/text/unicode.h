// What Hugging Face tokenizers takes a character for. Its parts follow different versions of
// Unicode, so the tables behind these functions are asked of that library, not of a Unicode
// database (tests/reference/make_unicode_tables.py writes them).
#ifndef SSMD_ENGINE_TEXT_UNICODE_H_
#define SSMD_ENGINE_TEXT_UNICODE_H_

#include <cstdint>
#include <optional>
#include <string_view>

namespace ssmd {

// Bits of ClassesOf().
enum CharClass : uint8_t {
  kLetter = 1,        // \p{L} of its regular expressions
  kNumber = 2,        // \p{N} of its regular expressions
  kSpace = 4,         // \s, and what added tokens strip
  kNumeric = 8,       // what the Digits pre-tokenizer cuts at
  kPunctuation = 16,  // what the Punctuation pre-tokenizer cuts at
  kWord = 32,         // what a single_word token may not touch
};

uint8_t ClassesOf(char32_t code_point);

// True where its normaliser leaves alone a character that newer versions of Unicode decompose,
// reorder or compose.
bool IsUnknownToNormalizer(char32_t code_point);

// For a general category (such as "Lu" or "P"): what its regular expressions hold in it beyond
// Unicode 14, written as the inside of a PCRE2 character class; mostly empty. Absent for names that
// are no category, and for Mn, Mc and C…, which characters also left.
std::optional<std::string_view> CategoryAdditionsTo(std::string_view category);

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_UNICODE_H_
