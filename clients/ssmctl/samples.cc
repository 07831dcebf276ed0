#include "clients/ssmctl/samples.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "clients/ssmctl/text.h"

namespace ssmd::ctl {
namespace {

// Of a word that is none: as much as tells which it is.
constexpr size_t kShownBytesMax = 40;

std::string Shown(absl::string_view word) {
  size_t length = std::min(word.size(), kShownBytesMax);
  // No part of a character.
  while (length > 0 && length < word.size() && (word[length] & 0xC0) == 0x80) --length;
  const std::string shown = LossyUtf8(std::string_view(word.data(), length));
  return absl::StrCat("'", shown, length < word.size() ? "…'" : "'");
}

// What is wrong with a word, or nothing. `sample` becomes its number.
std::optional<std::string> ParseSample(absl::string_view word, float* sample) {
  if (!absl::SimpleAtof(word, sample)) return "is no number";
  if (std::isfinite(*sample)) return std::nullopt;
  double wide = 0;
  const bool finite = absl::SimpleAtod(word, &wide) && std::isfinite(wide);
  return finite ? "is beyond what a 32-bit float holds" : "is not finite";
}

// A comma has a number on either side.
bool LacksANumber(absl::string_view line) {
  const std::vector<absl::string_view> cells = absl::StrSplit(line, ',');
  return cells.size() > 1 && std::any_of(cells.begin(), cells.end(), [](absl::string_view cell) {
           return absl::StripAsciiWhitespace(cell).empty();
         });
}

}  // namespace

std::optional<std::string> ParseSamples(std::string_view text, int channels,
                                        std::vector<float>* samples) {
  absl::string_view lines(text.data(), text.size());
  absl::ConsumePrefix(&lines, "\xEF\xBB\xBF");  // a byte order mark
  int number = 0, blank = 0;
  for (const absl::string_view line : absl::StrSplit(lines, '\n')) {
    ++number;
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(", \t\r"), absl::SkipEmpty());
    if (words.empty()) {
      if (blank == 0) blank = number;
      continue;
    }
    if (blank > 0) {
      return absl::StrCat("line ", blank,
                          " is empty, and samples follow: what is missing there has "
                          "to be said, or the line left out");
    }
    if (LacksANumber(line)) {
      return absl::StrCat("line ", number, " has a comma without a number beside it");
    }
    if (words.size() != static_cast<size_t>(channels)) {
      return absl::StrCat("line ", number, " has ", words.size(), " numbers where the memory has ",
                          channels, channels == 1 ? " channel" : " channels");
    }
    for (const absl::string_view word : words) {
      float sample = 0;
      if (const auto problem = ParseSample(word, &sample)) {
        return absl::StrCat("line ", number, ": ", Shown(word), " ", *problem);
      }
      samples->push_back(sample);
    }
  }
  return std::nullopt;
}

}  // namespace ssmd::ctl
