// States as files in a folder, and which of them there are: the part of a DiskStore that is not
// threads. Names, and the order of operations that makes them whole: README.md, "State folder".
#ifndef SSMD_ENGINE_STATE_STATE_FILES_H_
#define SSMD_ENGINE_STATE_STATE_FILES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/file_system.h"
#include "engine/base/mutex.h"
#include "engine/state/snapshot.h"

namespace ssmd {

// Thread-safe as far as one thread writes and removes, and others read.
class StateFiles {
 public:
  StateFiles(FileSystem* files, std::string folder, int64_t bytes_limit)
      : files_(files), folder_(std::move(folder)), bytes_limit_(bytes_limit) {}

  // Finds what is there and removes temporary files. Before everything else.
  absl::Status Open();

  // See StateStore. `id` may be anything; INVALID_ARGUMENT unless it is one.
  absl::Status Write(const std::string& id, const Snapshot& state);
  absl::StatusOr<Snapshot> Read(const std::string& id, const SnapshotLimits& limits) const;
  absl::Status Remove(const std::string& id);

  std::vector<std::string> List() const;  // ascending
  int64_t states() const;
  int64_t bytes() const;

 private:
  absl::Status OpenSubfolder(const std::string& subfolder);
  absl::Status MakeSubfolder(const std::string& id);
  absl::Status WriteUnder(const std::string& path, const EncodedSnapshot& encoded);
  std::string SubfolderOf(std::string_view id) const;
  std::string PathOf(std::string_view id) const;

  FileSystem* const files_;
  const std::string folder_;
  const int64_t bytes_limit_;
  absl::flat_hash_set<std::string> subfolders_;  // known to be there; of the writing thread

  mutable Mutex mutex_;
  absl::flat_hash_map<std::string, int64_t> bytes_by_id_ ABSL_GUARDED_BY(mutex_);
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_STATE_FILES_H_
