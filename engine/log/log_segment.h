// The segment of a commit log that is being written: what is not acknowledged is taken back.
//
// Belongs to the log's thread.
#ifndef SSMD_ENGINE_LOG_LOG_SEGMENT_H_
#define SSMD_ENGINE_LOG_LOG_SEGMENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/file_system.h"
#include "engine/log/log_writer.h"

namespace ssmd {

class LogSegment {
 public:
  // A new one after a segment of `previous_bytes`. Its name is on the medium after the next
  // SyncDirectory, and before that nothing that is in it counts. After an error there is none.
  static absl::StatusOr<std::unique_ptr<LogSegment>> Create(FileSystem* files,
                                                            const std::string& folder,
                                                            int64_t number, int64_t previous_bytes);
  static absl::StatusOr<std::unique_ptr<LogSegment>> Reopen(FileSystem* files,
                                                            const std::string& folder,
                                                            int64_t number, int64_t bytes,
                                                            uint64_t salt);

  // Writes all of them as one write, and syncs it where that is asked for. After an error none of
  // them is in the segment, nor will be after a crash, unless it is broken.
  absl::Status Append(absl::Span<const std::string_view> records, bool sync);
  absl::Status Sync();

  // A sync, or taking back what could not be written, failed: it is unknown what is on the medium.
  bool broken() const { return broken_; }
  int64_t number() const { return number_; }
  int64_t bytes() const { return writer_->bytes(); }

 private:
  LogSegment(std::unique_ptr<LogWriter> writer, int64_t number, int64_t synced_bytes)
      : writer_(std::move(writer)), number_(number), synced_bytes_(synced_bytes) {}

  absl::Status Write(absl::Span<const std::string_view> records);
  void TakeBack(int64_t bytes_before);

  std::unique_ptr<LogWriter> writer_;
  int64_t number_;
  int64_t synced_bytes_;  // known to be on the medium
  bool broken_ = false;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_LOG_LOG_SEGMENT_H_
