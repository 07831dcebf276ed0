// Debian's Abseil is built without C++17, so that its string_view is a type of its own.
#ifndef SSMD_ENGINE_BASE_TEXT_VIEW_H_
#define SSMD_ENGINE_BASE_TEXT_VIEW_H_

#include <string_view>

#include "absl/strings/string_view.h"

namespace ssmd {

inline absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace ssmd

#endif  // SSMD_ENGINE_BASE_TEXT_VIEW_H_
