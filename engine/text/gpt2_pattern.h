// The GPT-2 split pattern, by hand: linear time, and with the character classes of Hugging Face's
// regular expressions (unicode.h) rather than those of an installed library's Unicode version.
#ifndef SSMD_ENGINE_TEXT_GPT2_PATTERN_H_
#define SSMD_ENGINE_TEXT_GPT2_PATTERN_H_

#include <cstddef>
#include <string_view>

namespace ssmd {

inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Where the match that begins at `start` ends; there always is one, and it is not empty. REQUIRES:
// text is UTF-8 and a character begins at `start`.
size_t Gpt2MatchEnd(std::string_view text, size_t start);

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_GPT2_PATTERN_H_
