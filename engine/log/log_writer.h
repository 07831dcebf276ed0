// Writes one file of a commit log: its header, then framed records. A new file has a temporary name
// until it is finished, so that a file with its own name has a whole header.
//
// Thread-compatible. Memory: one buffer of about a megabyte.
#ifndef SSMD_ENGINE_LOG_LOG_WRITER_H_
#define SSMD_ENGINE_LOG_LOG_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/file_system.h"
#include "engine/log/log_format.h"

namespace ssmd {

class LogWriter {
 public:
  // A new file under its temporary name. The salt is chosen here.
  static absl::StatusOr<std::unique_ptr<LogWriter>> Create(FileSystem* files,
                                                           const std::string& folder,
                                                           LogFileHeader header);
  // A finished file, to go on at its end.
  static absl::StatusOr<std::unique_ptr<LogWriter>> Reopen(FileSystem* files,
                                                           const std::string& folder, LogFileId id,
                                                           int64_t bytes, uint64_t salt);
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;
  ~LogWriter();  // removes the file unless it was finished

  // `write_begin`: the offset of the first record that is written together with this one. What was
  // put is in the file after Flush. REQUIRES: 0 < record.size() <= UINT32_MAX.
  absl::Status Put(std::string_view record, int64_t write_begin);
  // The mark that ends an image.
  absl::Status PutEnd();
  absl::Status Flush();
  absl::Status Sync() { return file_->Sync(); }
  // Forgets what is past `bytes`, also what was not flushed.
  absl::Status Truncate(int64_t bytes);

  // Syncs the file and gives it its name, which is on the medium after the next SyncDirectory.
  absl::Status Finish();

  int64_t bytes() const { return bytes_; }  // with what was not flushed yet

 private:
  LogWriter(FileSystem* files, std::string path, std::unique_ptr<AppendFile> file)
      : files_(files), path_(std::move(path)), file_(std::move(file)) {}

  void PutFrame(const LogFrame& frame);
  std::string UnfinishedPath() const;

  FileSystem* files_;
  std::string path_;
  std::unique_ptr<AppendFile> file_;
  uint64_t salt_ = 0;
  int64_t bytes_ = 0;
  std::string buffer_;
  bool finished_ = false;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_LOG_LOG_WRITER_H_
