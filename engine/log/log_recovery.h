// What a folder holds of a commit log, found, checked and read at the start. The rules are in
// README.md, "Commit log".
#ifndef SSMD_ENGINE_LOG_LOG_RECOVERY_H_
#define SSMD_ENGINE_LOG_LOG_RECOVERY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/base/file_system.h"

namespace ssmd {

struct RecoveredLog {
  int64_t image = 0;  // its number; 0: there is none
  int64_t image_bytes = 0;
  std::map<int64_t, int64_t> segment_bytes;  // by number, those that the image does not stand for
  uint64_t last_salt = 0;                    // of the last segment, where there is one
  int64_t torn_bytes = 0;                    // cut off at its end
};

// Calls `replay` for each record in order. Changes nothing before all was read and found good; then
// cuts off what is torn at the end, and removes what an unfinished or a finished compaction left.
absl::StatusOr<RecoveredLog> RecoverLog(
    FileSystem* files, const std::string& folder, int64_t record_bytes_max,
    const std::function<absl::Status(std::string_view record)>& replay);

}  // namespace ssmd

#endif  // SSMD_ENGINE_LOG_LOG_RECOVERY_H_
