#include "engine/text/unicode.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace ssmd {
namespace {

struct ClassRun {
  char32_t first;
  uint8_t classes;
};

struct CodePointRange {
  char32_t first;
  char32_t last;
};

struct CategoryAddition {
  std::string_view category;
  std::string_view ranges;
};

#include "engine/text/unicode_tables.inc"

constexpr uint8_t SearchRuns(char32_t code_point) {
  const ClassRun* const run =
      std::upper_bound(std::begin(kClassRuns), std::end(kClassRuns), code_point,
                       [](char32_t value, const ClassRun& entry) { return value < entry.first; });
  return run == std::begin(kClassRuns) ? uint8_t{0} : run[-1].classes;
}

constexpr std::array<uint8_t, 0x800> MakeLowClasses() {
  std::array<uint8_t, 0x800> classes{};
  for (char32_t c = 0; c < classes.size(); ++c) classes[c] = SearchRuns(c);
  return classes;
}

// Characters of one and two bytes are by far the most frequent.
constexpr std::array<uint8_t, 0x800> kLowClasses = MakeLowClasses();

}  // namespace

uint8_t ClassesOf(char32_t code_point) {
  return code_point < kLowClasses.size() ? kLowClasses[code_point] : SearchRuns(code_point);
}

bool IsUnknownToNormalizer(char32_t code_point) {
  const CodePointRange* const range = std::lower_bound(
      std::begin(kUnknownToNormalizer), std::end(kUnknownToNormalizer), code_point,
      [](const CodePointRange& entry, char32_t value) { return entry.last < value; });
  return range != std::end(kUnknownToNormalizer) && range->first <= code_point;
}

std::optional<std::string_view> CategoryAdditionsTo(std::string_view category) {
  for (const CategoryAddition& addition : kCategoryAdditions) {
    if (addition.category == category) return addition.ranges;
  }
  return std::nullopt;
}

}  // namespace ssmd
