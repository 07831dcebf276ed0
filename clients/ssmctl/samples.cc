#include "clients/ssmctl/samples.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace ssmd::ctl {

std::optional<std::string> ParseSamples(std::string_view text, int channels,
                                        std::vector<float>* samples) {
  int number = 0;
  for (const absl::string_view line :
       absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    ++number;
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(", \t\r"), absl::SkipEmpty());
    if (words.empty()) continue;
    if (words.size() != static_cast<size_t>(channels)) {
      return absl::StrCat("line ", number, " has ", words.size(), " numbers where the memory has ",
                          channels, channels == 1 ? " channel" : " channels");
    }
    for (const absl::string_view word : words) {
      float sample = 0;
      if (!absl::SimpleAtof(word, &sample)) {
        return absl::StrCat("line ", number, ": '", word, "' is no number");
      }
      samples->push_back(sample);
    }
  }
  return std::nullopt;
}

}  // namespace ssmd::ctl
