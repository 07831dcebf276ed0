// Where states are kept outside of this process's memory: a folder (disk_store.h), and later what
// replicas share. Blobs under names that their writer chose, written once, never changed.
//
// Calls return at once; work happens on the store's threads, and so do the callbacks, each of which
// is called exactly once, before the destructor returns at the latest (with CANCELLED). A store may
// be slow, full or gone: every call may fail, nothing is retried here, and what was not
// acknowledged may or may not be there.
#ifndef SSMD_ENGINE_STATE_STATE_STORE_H_
#define SSMD_ENGINE_STATE_STATE_STORE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/state/snapshot.h"

namespace ssmd {

struct StoreFigures {
  int64_t states = 0;
  int64_t bytes = 0;        // of complete blobs
  int64_t bytes_limit = 0;  // 0: none
  int64_t queued = 0;       // calls that wait or run
  int64_t puts = 0;         // totals since the start
  int64_t gets = 0;
  int64_t failures = 0;
};

class StateStore {
 public:
  virtual ~StateStore() = default;

  // Complete and safe from a crash of this process when `done` gets OK. RESOURCE_EXHAUSTED past the
  // store's byte limit or where the medium is full. `id`: 32 lower-case hexadecimal digits, new.
  virtual void Put(std::string id, Snapshot state, std::function<void(absl::Status)> done) = 0;
  // NOT_FOUND; DATA_LOSS for one that was cut off or changed; INVALID_ARGUMENT past `limits`.
  virtual void Get(std::string id, SnapshotLimits limits,
                   std::function<void(absl::StatusOr<Snapshot>)> done) = 0;
  // Of something absent: nothing.
  virtual void Delete(std::string id) = 0;
  // Every id there is, for the clean-up after a crash. Called before anything else, if at all.
  virtual absl::StatusOr<std::vector<std::string>> List() = 0;

  virtual StoreFigures figures() const = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_STATE_STORE_H_
