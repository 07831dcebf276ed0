// States in a folder of the state directory: one file each, written to a temporary name, synced and
// renamed, so that a name that exists is a whole file. One thread writes and deletes, another
// reads, so that a restore never waits for a write.
//
// Queues are bounded by their callers: StateTiers limits dirty bytes and restores in progress.
#ifndef SSMD_ENGINE_STATE_DISK_STORE_H_
#define SSMD_ENGINE_STATE_DISK_STORE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/base/file_system.h"
#include "engine/state/state_store.h"

namespace ssmd {

struct DiskStoreOptions {
  std::string
      directory;  // made if absent; ours alone (the caller holds the state directory's lock)
  int64_t bytes_limit = 0;      // of all files together; 0: none
  FileSystem* files = nullptr;  // the machine's when null; must outlive the store
};

// Removes the temporary files that a crash left behind. An error names the folder and what to do.
absl::StatusOr<std::unique_ptr<StateStore>> OpenDiskStore(const DiskStoreOptions& options);

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_DISK_STORE_H_
