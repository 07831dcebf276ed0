// The frame of a snapshot: a header, a table of sections with a checksum each, and the sections, in
// the table's order and without gaps (README.md, "Snapshot format"). It knows no section's content.
#ifndef SSMD_ENGINE_STATE_SNAPSHOT_FORMAT_H_
#define SSMD_ENGINE_STATE_SNAPSHOT_FORMAT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace ssmd {

struct SnapshotSection {
  std::string_view tag;  // four characters
  std::string_view bytes;
};

inline constexpr std::string_view kIdentitySection = "IDNT";
inline constexpr std::string_view kPositionSection = "POSN";
inline constexpr std::string_view kSessionSection = "SESS";
inline constexpr std::string_view kHistorySection = "HIST";
inline constexpr std::string_view kStateSection = "STAT";

// Header and table. The sections' bytes follow.
std::string EncodeSnapshotTable(absl::Span<const SnapshotSection> sections);

// Checks everything but the sections' checksums: header, version, and that the sections fill the
// bytes exactly. Refers to the bytes that it was made of. Errors as DecodeSnapshot.
class SnapshotTable {
 public:
  static absl::StatusOr<SnapshotTable> Decode(std::string_view bytes);

  // In the file's order.
  std::vector<std::string_view> tags() const;
  // Null where there is no such section.
  const SnapshotSection* Find(std::string_view tag) const;
  // DATA_LOSS, naming the first section that was changed.
  absl::Status CheckDigests() const;

 private:
  std::vector<SnapshotSection> sections_;
  std::vector<uint64_t> digests_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_SNAPSHOT_FORMAT_H_
