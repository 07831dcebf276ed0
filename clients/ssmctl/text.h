// Text that came from elsewhere (a model, a server, an argument), made fit for where it goes: a
// terminal must not obey it and JSON must be UTF-8.
#ifndef SSMD_CLIENTS_SSMCTL_TEXT_H_
#define SSMD_CLIENTS_SSMCTL_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ssmd::ctl {

// Position of the first byte that is not part of well-formed UTF-8; nullopt when all is well.
std::optional<size_t> FirstInvalidUtf8(std::string_view text);

// `bytes` with U+FFFD for each maximal ill-formed sequence.
std::string LossyUtf8(std::string_view bytes);

// `text` with what a terminal would act on made visible instead: control characters but for newline
// and tab (as their Unicode pictures), and the bidirectional overrides that reorder what one reads.
// REQUIRES: well-formed UTF-8.
std::string ForTerminal(std::string_view text);

// A JSON document with the same characters written as \u escapes: a different spelling of the same
// document. REQUIRES: well-formed UTF-8.
std::string JsonForTerminal(std::string_view json);

// "1,2,3" with optional spaces; nullopt when an entry is not a number in [0, 2^31).
std::optional<std::vector<int32_t>> ParseTokenIds(std::string_view text);

}  // namespace ssmd::ctl

#endif  // SSMD_CLIENTS_SSMCTL_TEXT_H_
