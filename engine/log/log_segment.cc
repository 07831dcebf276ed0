#include "engine/log/log_segment.h"

#include <utility>

#include "engine/base/status_macros.h"

namespace ssmd {

absl::StatusOr<std::unique_ptr<LogSegment>> LogSegment::Create(FileSystem* files,
                                                               const std::string& folder,
                                                               int64_t number,
                                                               int64_t previous_bytes) {
  LogFileHeader header;
  header.kind = LogFileKind::kSegment;
  header.number = static_cast<uint64_t>(number);
  header.previous_bytes = static_cast<uint64_t>(previous_bytes);
  SSMD_ASSIGN_OR_RETURN(auto writer, LogWriter::Create(files, folder, header));
  SSMD_RETURN_IF_ERROR(writer->Finish());
  return std::unique_ptr<LogSegment>(
      new LogSegment(std::move(writer), number, LogFileHeader::kBytes));
}

absl::StatusOr<std::unique_ptr<LogSegment>> LogSegment::Reopen(FileSystem* files,
                                                               const std::string& folder,
                                                               int64_t number, int64_t bytes,
                                                               uint64_t salt) {
  SSMD_ASSIGN_OR_RETURN(
      auto writer, LogWriter::Reopen(files, folder, {LogFileKind::kSegment, number}, bytes, salt));
  return std::unique_ptr<LogSegment>(new LogSegment(std::move(writer), number, 0));
}

absl::Status LogSegment::Append(absl::Span<const std::string_view> records, bool sync) {
  const int64_t begin = bytes();
  absl::Status status = Write(records);
  if (status.ok() && sync) status = Sync();
  if (!status.ok()) TakeBack(begin);
  return status;
}

absl::Status LogSegment::Sync() {
  if (synced_bytes_ == bytes()) return absl::OkStatus();
  absl::Status status = writer_->Sync();
  if (status.ok()) {
    synced_bytes_ = bytes();
  } else {
    broken_ = true;
  }
  return status;
}

absl::Status LogSegment::Write(absl::Span<const std::string_view> records) {
  const int64_t begin = bytes();
  for (const std::string_view record : records) {
    SSMD_RETURN_IF_ERROR(writer_->Put(record, begin));
  }
  return writer_->Flush();
}

// The sync keeps the part that was written from coming back after a crash of the machine.
void LogSegment::TakeBack(int64_t bytes_before) {
  synced_bytes_ = 0;
  if (!writer_->Truncate(bytes_before).ok() || !Sync().ok()) broken_ = true;
}

}  // namespace ssmd
