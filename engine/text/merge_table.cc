#include "engine/text/merge_table.h"

#include <array>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/text_view.h"
#include "engine/formats/quoted.h"

namespace ssmd {

std::optional<std::pair<absl::string_view, absl::string_view>> CutMerge(std::string_view line) {
  const std::vector<absl::string_view> sides = absl::StrSplit(View(line), absl::MaxSplits(' ', 2));
  if (sides.size() != 2) return std::nullopt;
  return std::make_pair(sides[0], sides[1]);
}

absl::StatusOr<Bpe::Merge> FindMerge(const TokenIds& ids, absl::string_view left,
                                     absl::string_view right) {
  const std::string both = absl::StrCat(left, right);
  std::array<int32_t, 3> tokens{};
  size_t at = 0;
  for (const absl::string_view text : {left, right, absl::string_view(both)}) {
    const auto found = ids.find(text);
    if (found == ids.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(Quoted({text.data(), text.size()}), " is not a token of the vocabulary"));
    }
    tokens[at++] = found->second;
  }
  return Bpe::Merge{tokens[0], tokens[1], tokens[2]};
}

}  // namespace ssmd
