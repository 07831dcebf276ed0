// Which of a log's files a folder holds, by their names.
#ifndef SSMD_ENGINE_LOG_LOG_FOLDER_H_
#define SSMD_ENGINE_LOG_LOG_FOLDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/file_system.h"

namespace ssmd {

struct LogFolder {
  int64_t image = 0;                    // the newest; 0: there is none
  std::vector<int64_t> segments;        // that it does not stand for, ascending
  std::vector<std::string> superseded;  // names of what it stands for
  std::vector<std::string> unfinished;  // temporary names
};

// Names that are not the log's are left out. Errors name the folder.
absl::StatusOr<LogFolder> ListLogFolder(FileSystem* files, const std::string& folder);

absl::Status RemoveLogFiles(FileSystem* files, const std::string& folder,
                            const std::vector<std::string>& names);

}  // namespace ssmd

#endif  // SSMD_ENGINE_LOG_LOG_FOLDER_H_
