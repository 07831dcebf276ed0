// Writes the image of a commit log: the records that stand for everything before a segment.
#ifndef SSMD_ENGINE_LOG_LOG_IMAGE_H_
#define SSMD_ENGINE_LOG_LOG_IMAGE_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/base/file_system.h"

namespace ssmd {

// Returns its bytes once it is on the medium, name and all. After an error there is none, or a
// whole one. Each call of `next` gives a record, until an empty one; INVALID_ARGUMENT past
// record_bytes_max. Blocking; any thread.
absl::StatusOr<int64_t> WriteLogImage(FileSystem* files, const std::string& folder, int64_t segment,
                                      int64_t record_bytes_max,
                                      const std::function<absl::StatusOr<std::string>()>& next);

}  // namespace ssmd

#endif  // SSMD_ENGINE_LOG_LOG_IMAGE_H_
