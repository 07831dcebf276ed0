#include "engine/log/log_recovery.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/log/log_folder.h"
#include "engine/log/log_format.h"
#include "engine/log/log_reader.h"

namespace ssmd {
namespace {

using Replay = std::function<absl::Status(std::string_view record)>;

constexpr absl::string_view kWhatToDo =
    "restore the folder from a copy, or move it away to start without the sessions in it";

// Segments follow each other without a gap, from the image (or from 1) on.
absl::Status CheckNoneMissing(const std::string& folder, const LogFolder& contents) {
  if (contents.image == 0 && contents.segments.empty()) return absl::OkStatus();
  int64_t expected = contents.image == 0 ? 1 : contents.image;
  const auto missing = [&] {
    return absl::DataLossError(absl::StrFormat(
        "%s: %s is missing: %s", folder, LogFileName(LogFileKind::kSegment, expected), kWhatToDo));
  };
  if (contents.segments.empty()) return missing();
  for (const int64_t number : contents.segments) {
    if (number != expected) return missing();
    ++expected;
  }
  return absl::OkStatus();
}

absl::Status Damage(const LogReader& reader, absl::string_view what) {
  return absl::DataLossError(
      absl::StrFormat("%s: offset %d: %s: %s", reader.path(), reader.offset(), what, kWhatToDo));
}

// Reads records to the end, or to what is damaged.
absl::StatusOr<LogReader::Found> ReplayRecords(LogReader* reader, const Replay& replay) {
  while (true) {
    SSMD_ASSIGN_OR_RETURN(const LogReader::Found found, reader->Next());
    if (found != LogReader::Found::kRecord) return found;
    SSMD_RETURN_IF_ERROR(replay(reader->record()));
  }
}

// Of the last segment: damage that nothing follows is what a crash left of the last write.
absl::Status CheckTorn(LogReader* reader) {
  SSMD_ASSIGN_OR_RETURN(const bool follows, reader->LaterWriteFollows());
  if (!follows) return absl::OkStatus();
  return Damage(*reader, absl::StrFormat("is damaged, and records follow that were written later; "
                                         "`truncate -s %d` on the file gives up those",
                                         reader->offset()));
}

absl::Status CutOff(FileSystem* files, const std::string& path, int64_t bytes) {
  auto file = files->OpenToAppend(path);
  absl::Status status = file.status();
  if (status.ok()) status = (*file)->Truncate(bytes);
  if (status.ok()) status = (*file)->Sync();
  return status.ok() ? status : Named(path, status);
}

// With a header's word for how long the segment before it is, a file that was cut where a record
// ends is noticed too.
absl::Status CheckPreviousBytes(const LogReader& reader, int64_t previous_bytes) {
  if (reader.header().previous_bytes == static_cast<uint64_t>(previous_bytes)) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrFormat(
      "%s: offset 0: follows a segment of %d bytes, and the one before it has %d: %s",
      reader.path(), reader.header().previous_bytes, previous_bytes, kWhatToDo));
}

class Recovery {
 public:
  Recovery(FileSystem* files, const std::string& folder, int64_t record_bytes_max,
           const Replay& replay)
      : files_(files), folder_(folder), record_bytes_max_(record_bytes_max), replay_(replay) {}

  absl::StatusOr<RecoveredLog> Run() {
    SSMD_ASSIGN_OR_RETURN(const LogFolder contents, ListLogFolder(files_, folder_));
    SSMD_RETURN_IF_ERROR(CheckNoneMissing(folder_, contents));
    if (contents.image != 0) SSMD_RETURN_IF_ERROR(ReadImage(contents.image));
    for (const int64_t number : contents.segments) {
      SSMD_RETURN_IF_ERROR(ReadSegment(number, number == contents.segments.back()));
    }
    SSMD_RETURN_IF_ERROR(CleanUp(contents));
    return std::move(log_);
  }

 private:
  absl::StatusOr<LogReader> OpenFile(LogFileKind kind, int64_t number) {
    auto reader = LogReader::Open(files_, folder_, {kind, number}, record_bytes_max_);
    if (reader.status().code() != absl::StatusCode::kDataLoss) return reader;
    return absl::DataLossError(absl::StrCat(reader.status().message(), ": ", kWhatToDo));
  }

  absl::Status ReadImage(int64_t number) {
    SSMD_ASSIGN_OR_RETURN(LogReader reader, OpenFile(LogFileKind::kImage, number));
    SSMD_ASSIGN_OR_RETURN(const LogReader::Found found, ReplayRecords(&reader, replay_));
    if (found == LogReader::Found::kDamage) return Damage(reader, "is damaged");
    log_.image = number;
    log_.image_bytes = reader.bytes();
    return absl::OkStatus();
  }

  absl::Status ReadSegment(int64_t number, bool last) {
    SSMD_ASSIGN_OR_RETURN(LogReader reader, OpenFile(LogFileKind::kSegment, number));
    if (!log_.segment_bytes.empty()) {
      SSMD_RETURN_IF_ERROR(CheckPreviousBytes(reader, log_.segment_bytes.rbegin()->second));
    }
    SSMD_ASSIGN_OR_RETURN(const LogReader::Found found, ReplayRecords(&reader, replay_));
    if (found == LogReader::Found::kDamage) {
      if (!last) return Damage(reader, "is damaged");
      SSMD_RETURN_IF_ERROR(CheckTorn(&reader));
      torn_ = reader.path();
      log_.torn_bytes = reader.bytes() - reader.offset();
    }
    log_.segment_bytes[number] = reader.offset();
    log_.last_salt = reader.header().salt;
    return absl::OkStatus();
  }

  absl::Status CleanUp(const LogFolder& contents) {
    if (!torn_.empty()) {
      SSMD_RETURN_IF_ERROR(CutOff(files_, torn_, log_.segment_bytes.rbegin()->second));
    }
    SSMD_RETURN_IF_ERROR(RemoveLogFiles(files_, folder_, contents.superseded));
    return RemoveLogFiles(files_, folder_, contents.unfinished);
  }

  FileSystem* files_;
  const std::string& folder_;
  const int64_t record_bytes_max_;
  const Replay& replay_;
  RecoveredLog log_;
  std::string torn_;  // the path of the segment that ends in something torn
};

}  // namespace

absl::StatusOr<RecoveredLog> RecoverLog(FileSystem* files, const std::string& folder,
                                        int64_t record_bytes_max, const Replay& replay) {
  return Recovery(files, folder, record_bytes_max, replay).Run();
}

}  // namespace ssmd
