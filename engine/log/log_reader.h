// Reads one file of a commit log from its beginning, record by record, and takes nothing for
// granted. Its memory is one window of the file, or one record where that is longer.
//
// Thread-compatible; lives while its log is opened.
#ifndef SSMD_ENGINE_LOG_LOG_READER_H_
#define SSMD_ENGINE_LOG_LOG_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/file_system.h"
#include "engine/log/log_format.h"

namespace ssmd {

class LogReader {
 public:
  // Checks that the header says what the name does. Errors name the file.
  static absl::StatusOr<LogReader> Open(FileSystem* files, const std::string& folder, LogFileId id,
                                        int64_t record_bytes_max);

  enum class Found : uint8_t { kRecord, kEnd, kDamage };
  // kEnd: of the file, in a segment; the mark with nothing after it, in an image. kDamage: what is
  // at offset() is neither. An error: the file cannot be read, or a whole record is too long.
  absl::StatusOr<Found> Next();

  // Whether something after offset() was written by a later write than what was (or began) there.
  // That is known of bytes whose frame says so: with a crash in the midst of a write, none does.
  absl::StatusOr<bool> LaterWriteFollows();

  std::string_view record() const { return record_; }  // until the next call
  int64_t offset() const { return offset_; }  // of what Next will look at, or called damage
  int64_t bytes() const { return file_->bytes(); }
  const std::string& path() const { return path_; }
  const LogFileHeader& header() const { return header_; }

 private:
  LogReader(std::string path, std::unique_ptr<ReadFile> file, int64_t record_bytes_max)
      : path_(std::move(path)), file_(std::move(file)), record_bytes_max_(record_bytes_max) {}

  absl::Status ReadHeader(LogFileId id);
  // Bytes [offset, offset + count) of the file, valid until the next call. REQUIRES: they exist.
  absl::StatusOr<std::string_view> Window(int64_t offset, int64_t count);

  std::string path_;
  std::unique_ptr<ReadFile> file_;
  int64_t record_bytes_max_;
  LogFileHeader header_;
  int64_t offset_ = 0;
  std::string_view record_;
  std::vector<char> window_;
  int64_t window_offset_ = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_LOG_LOG_READER_H_
