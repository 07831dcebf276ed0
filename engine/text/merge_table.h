// The merges of a byte-level BPE file, from the texts of tokens that the file gives to their ids.
#ifndef SSMD_ENGINE_TEXT_MERGE_TABLE_H_
#define SSMD_ENGINE_TEXT_MERGE_TABLE_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/text/bpe.h"

namespace ssmd {

// Tokens by text, as the file writes it. Views into the file.
using TokenIds = absl::flat_hash_map<absl::string_view, int32_t>;

// The halves of "a b". Absent where the line is not two texts with one space between them.
std::optional<std::pair<absl::string_view, absl::string_view>> CutMerge(std::string_view line);

// INVALID_ARGUMENT says which of the three texts is no token.
absl::StatusOr<Bpe::Merge> FindMerge(const TokenIds& ids, absl::string_view left,
                                     absl::string_view right);

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_MERGE_TABLE_H_
