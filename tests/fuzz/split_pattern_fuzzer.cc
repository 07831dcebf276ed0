// A regular expression up to the first newline, a text behind it: the expression is refused, or the
// search ends within its budget and its stretches cover the text, cut between characters.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/split_pattern.h"
#include "engine/text/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t newline = input.find('\n');
  if (newline == std::string_view::npos || newline + 1 == size) return 0;
  if (ssmd::FindInvalidUtf8(input).has_value()) return 0;
  const std::string_view text = input.substr(newline + 1);
  const auto pattern = ssmd::MakeRegexPattern(input.substr(0, newline));
  if (!pattern.ok()) return 0;
  ssmd::MatchBudget budget(text.size());
  std::vector<ssmd::Stretch> stretches;
  if (!(*pattern)->Find(text, &budget, &stretches).ok()) return 0;
  size_t begin = 0;
  for (const ssmd::Stretch& stretch : stretches) {
    if (stretch.end < begin || stretch.end > text.size()) std::abort();
    if (ssmd::FindInvalidUtf8(text.substr(begin, stretch.end - begin)).has_value()) std::abort();
    begin = stretch.end;
  }
  if (begin != text.size()) std::abort();
  return 0;
}
