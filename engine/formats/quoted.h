// Names out of untrusted files, made fit for an error message: escaped and cut to a bounded length.
#ifndef SSMD_ENGINE_FORMATS_QUOTED_H_
#define SSMD_ENGINE_FORMATS_QUOTED_H_

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace ssmd {

inline constexpr size_t kMaxQuotedBytes = 128;

inline std::string Quoted(std::string_view text) {
  const absl::string_view shown(text.data(), std::min(text.size(), kMaxQuotedBytes));
  return absl::StrCat("\"", absl::CHexEscape(shown), text.size() > shown.size() ? "…\"" : "\"");
}

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_QUOTED_H_
