// A file system in memory that fails, tears writes and crashes on demand, at the n-th operation
// that changes something. It keeps what was written apart from what a crash of the machine would
// leave.
//
// A crash ends everything: that operation is done in part, and all later ones fail, until Restart
// says what is left. Thread-safe.
#ifndef SSMD_TESTS_SUPPORT_FAULT_FILE_SYSTEM_H_
#define SSMD_TESTS_SUPPORT_FAULT_FILE_SYSTEM_H_

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/base/file_system.h"
#include "engine/base/mutex.h"

namespace ssmd::testing {

class FaultFileSystem final : public FileSystem {
 public:
  enum class Fault {
    kFull,    // RESOURCE_EXHAUSTED; of an append, the first half is written
    kBroken,  // INTERNAL, and nothing is done
    kCrash,   // of an append, the first half is written
  };
  // The operations first, first + 1, …, first + count − 1 from now (0: the next) go wrong, beside
  // those that were named before.
  void FailAt(int64_t first, Fault fault, int64_t count = 1);
  void ClearFaults();
  // Every read fails with INTERNAL, or works again.
  void FailReads(bool fail);

  int64_t operations() const;  // that changed something, or would have
  bool crashed() const;

  enum class Crash {
    kProcess,      // everything that was written is there
    kMachine,      // only what was synced
    kMachineTorn,  // and a part of what was not: in order, the last bit of it with holes
  };
  void Restart(Crash crash, uint32_t seed = 0);

  // Behind the program's back.
  void Write(const std::string& path, std::string bytes);
  std::string Read(const std::string& path) const;  // "" where there is none
  std::vector<std::string> Paths() const;

  absl::StatusOr<std::unique_ptr<AppendFile>> Create(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<AppendFile>> OpenToAppend(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<ReadFile>> OpenToRead(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& path) override;
  absl::StatusOr<std::vector<FolderEntry>> List(const std::string& path) override;

 private:
  friend class FaultAppendFile;
  friend class FaultReadFile;

  struct Change {  // either: shortened to so many bytes, or appended to
    int64_t truncated_to = -1;
    std::string appended;
  };
  struct Node {
    std::string written;
    std::string synced;
    std::vector<Change> unsynced;
  };
  using NodeRef = std::shared_ptr<Node>;  // files that are open outlive their names
  struct NameChange {                     // `path` now names `node`, or nothing; `from` nothing
    std::string path;
    NodeRef node;
    std::string from;
  };

  // Counts an operation and says what goes wrong with it. Every change begins with it.
  absl::Status Begin() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void Apply(const NameChange& change, std::map<std::string, NodeRef>* names);
  static void Apply(const Change& change, std::string* bytes);
  void SetName(NameChange change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LoseNames(bool some) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LoseBytes(Node* node, bool some) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Holed(std::string bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  std::map<std::string, NodeRef> names_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, NodeRef> synced_names_ ABSL_GUARDED_BY(mutex_);
  std::vector<NameChange> unsynced_names_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> folders_ ABSL_GUARDED_BY(mutex_);
  int64_t operations_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<int64_t, Fault> faults_ ABSL_GUARDED_BY(mutex_);  // by operation
  bool crashed_ ABSL_GUARDED_BY(mutex_) = false;
  bool fail_reads_ ABSL_GUARDED_BY(mutex_) = false;
  std::mt19937 random_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_SUPPORT_FAULT_FILE_SYSTEM_H_
