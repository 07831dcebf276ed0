// The entries of a zip file that stores them as they are, which is how torch writes checkpoints.
//
// The file may be hostile, so it must be the plain thing: one disk, the directory directly before
// the records that end the file, nothing after those; entries that are not compressed, encrypted,
// twice there or one over another; local headers that say what the directory says; zip64 where it
// is needed. Checksums are not read: torch can be told not to compute them.
// Errors are INVALID_ARGUMENT and name the file, the entry and what is wrong.
#ifndef SSMD_ENGINE_FORMATS_ZIP_DIRECTORY_H_
#define SSMD_ENGINE_FORMATS_ZIP_DIRECTORY_H_

#include <cstddef>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace ssmd {

inline constexpr size_t kMaxZipEntries = size_t{1} << 17;

// Both views point into the file. A name is a relative path without empty, "." or ".." parts,
// backslashes or NULs; nobody may use it as a path all the same.
struct ZipEntry {
  std::string_view name;
  std::string_view bytes;
};

// Reads the directory of a whole file in memory: its entries in the directory's order. `source` (a
// file's name) opens every error.
absl::StatusOr<std::vector<ZipEntry>> ReadZipDirectory(std::string_view file,
                                                       std::string_view source);

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_ZIP_DIRECTORY_H_
