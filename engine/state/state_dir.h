// The folder in which a daemon keeps what outlives it, held by one daemon at a time.
//
// The lock is the operating system's (flock): it ends with the process, however that ends, so that
// what a killed one left behind blocks nobody. The file LOCK stays.
#ifndef SSMD_ENGINE_STATE_STATE_DIR_H_
#define SSMD_ENGINE_STATE_STATE_DIR_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/base/descriptor.h"

namespace ssmd {

// Move-only; gives the folder up when destroyed. Immutable.
class StateDir {
 public:
  // Makes `path` (not its parent) where it is absent. FAILED_PRECONDITION, naming the folder and
  // the holder's process id, where another process (or another StateDir) holds it.
  static absl::StatusOr<StateDir> Lock(const std::string& path);

  const std::string& path() const { return path_; }
  std::string log_path() const { return path_ + "/log"; }        // of the CommitLog
  std::string states_path() const { return path_ + "/states"; }  // of the DiskStore
  // Who this folder's sessions belong to among replicas: made at the first call, and the same ever
  // after. DATA_LOSS for a file that holds no such id.
  absl::StatusOr<std::string> ReplicaId() const;

 private:
  StateDir(std::string path, Descriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  Descriptor lock_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_STATE_DIR_H_
