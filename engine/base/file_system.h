// The file operations that what must survive a crash is built from, as an interface, so that a test
// can stand in for the disk that is full, tears a write or loses what was not synced.
//
// What holds after a crash of the process: everything that returned OK. After a crash of the
// machine: a file's bytes up to its last Sync, and the names in a folder up to its last
// SyncDirectory; what came later may be there in part.
// Errors name the operation, not the file (see Named): some of them travel to callers, who must not
// be told paths. Files are made 0600 and folders 0700. Thread-safe; its files are
// thread-compatible.
#ifndef SSMD_ENGINE_BASE_FILE_SYSTEM_H_
#define SSMD_ENGINE_BASE_FILE_SYSTEM_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace ssmd {

// A file that is written at its end. Destruction closes it and syncs nothing.
class AppendFile {
 public:
  virtual ~AppendFile() = default;

  // On an error any part of `bytes` may have been appended.
  virtual absl::Status Append(std::string_view bytes) = 0;
  // Later appends go to the new end. REQUIRES: no more than the file holds.
  virtual absl::Status Truncate(int64_t bytes) = 0;
  // After an error it is unknown what is on the medium, and another Sync does not help.
  virtual absl::Status Sync() = 0;
  // Keeps it from others who lock it, until it is closed, however the process ends.
  // FAILED_PRECONDITION where another has it.
  virtual absl::Status Lock() = 0;
};

class ReadFile {
 public:
  virtual ~ReadFile() = default;

  virtual int64_t bytes() const = 0;  // when it was opened
  // Fills `out` or fails; DATA_LOSS where the file ends before.
  virtual absl::Status ReadAt(int64_t offset, absl::Span<char> out) const = 0;
};

struct FolderEntry {
  std::string name;
  int64_t bytes = 0;
  enum class Kind : uint8_t { kFile, kFolder, kOther } kind = Kind::kOther;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // An empty new file; ALREADY_EXISTS where the name is taken.
  virtual absl::StatusOr<std::unique_ptr<AppendFile>> Create(const std::string& path) = 0;
  virtual absl::StatusOr<std::unique_ptr<AppendFile>> OpenToAppend(const std::string& path) = 0;
  // Follows no symbolic link, and waits for no pipe. INVALID_ARGUMENT unless it is a regular file.
  virtual absl::StatusOr<std::unique_ptr<ReadFile>> OpenToRead(const std::string& path) = 0;

  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;  // replaces `to`
  virtual absl::Status Remove(const std::string& path) = 0;
  // OK where the folder is there already. Its parent must be; its name is on the medium then.
  virtual absl::Status MakeDirectory(const std::string& path) = 0;
  virtual absl::Status SyncDirectory(const std::string& path) = 0;
  // In no order.
  virtual absl::StatusOr<std::vector<FolderEntry>> List(const std::string& path) = 0;
};

// This machine's.
class PosixFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<AppendFile>> Create(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<AppendFile>> OpenToAppend(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<ReadFile>> OpenToRead(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& path) override;
  absl::StatusOr<std::vector<FolderEntry>> List(const std::string& path) override;
};

// The same error with "NAME: " before its message.
absl::Status Named(std::string_view name, const absl::Status& error);

}  // namespace ssmd

#endif  // SSMD_ENGINE_BASE_FILE_SYSTEM_H_
