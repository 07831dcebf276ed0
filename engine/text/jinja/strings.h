// Python's operations on strings, by characters (code points), over Text.
// REQUIRES, of all bytes: they are UTF-8.
#ifndef SSMD_ENGINE_TEXT_JINJA_STRINGS_H_
#define SSMD_ENGINE_TEXT_JINJA_STRINGS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/jinja/budget.h"
#include "engine/text/jinja/value.h"

namespace ssmd::jinja {

size_t CountCharacters(std::string_view bytes);
size_t CharacterBytes(std::string_view bytes, size_t at);
std::vector<size_t> CharacterStarts(std::string_view bytes);
// REQUIRES: there are at least `index` characters.
size_t ByteOfCharacter(std::string_view bytes, size_t index);
absl::StatusOr<std::vector<Value>> Characters(const Text& text, Budget* budget);

// Linear in both sizes, unlike std::string::find. npos where there is none at or behind `from`.
size_t FindBytes(std::string_view bytes, std::string_view needle, size_t from);
size_t FindLastBytes(std::string_view bytes, std::string_view needle);

bool IsSpace(char32_t c);  // str.isspace

enum class Side : uint8_t { kLeft, kRight, kBoth };
// Without the characters of `chars` at its ends; without white space where that is absent.
Text Strip(const Text& text, Side side, const std::optional<std::string>& chars);

enum class Letters : uint8_t { kUpper, kLower };
// Of each character the simple mapping, but for ß, whose upper case is SS.
Text ChangeCase(const Text& text, Letters letters);
Text Capitalize(const Text& text);  // the first letter upper, the rest lower
// `by_spaces`: words as Jinja's filter `title` finds them; else as str.title does.
Text Title(const Text& text, bool by_spaces);
bool IsAllOfCase(std::string_view bytes, Letters letters);  // str.isupper, str.islower
bool IsEach(std::string_view bytes, bool (*is)(char32_t));  // not of the empty string
bool IsAlpha(char32_t c);
bool IsDigit(char32_t c);
bool IsAlnum(char32_t c);

// At most `most` cuts from the left where that is not negative. REQUIRES: separator is not empty.
absl::StatusOr<std::vector<Text>> Split(const Text& text, const std::string& separator,
                                        int64_t most, bool from_right, Budget* budget);
absl::StatusOr<std::vector<Text>> SplitSpace(const Text& text, int64_t most, bool from_right,
                                             Budget* budget);
absl::StatusOr<std::vector<Text>> SplitLines(const Text& text, bool keep_ends, Budget* budget);
// The first `most` ones; all where that is negative.
absl::StatusOr<Text> Replace(const Text& text, const std::string& from, const Text& to,
                             int64_t most, Budget* budget);
absl::StatusOr<Text> EscapeHtml(const Text& text, Budget* budget);

}  // namespace ssmd::jinja

#endif  // SSMD_ENGINE_TEXT_JINJA_STRINGS_H_
