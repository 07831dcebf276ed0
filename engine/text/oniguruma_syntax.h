// Rewrites a regular expression of Oniguruma's Ruby syntax, which tokenizer files use, in PCRE2's
// syntax, so that it matches the same text.
//
// Only constructs known to mean the same, or rewritten to, are let through; anything else is
// refused, because a pattern that is read differently would silently yield other tokens.
#ifndef SSMD_ENGINE_TEXT_ONIGURUMA_SYNTAX_H_
#define SSMD_ENGINE_TEXT_ONIGURUMA_SYNTAX_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace ssmd {

// INVALID_ARGUMENT quotes the construct that is malformed or not supported. REQUIRES: UTF-8.
absl::StatusOr<std::string> TranslateOniguruma(std::string_view expression);

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_ONIGURUMA_SYNTAX_H_
