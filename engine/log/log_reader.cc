#include "engine/log/log_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"

namespace ssmd {
namespace {

constexpr int64_t kWindowBytes = int64_t{256} << 10;

}  // namespace

absl::StatusOr<LogReader> LogReader::Open(FileSystem* files, const std::string& folder,
                                          LogFileId id, int64_t record_bytes_max) {
  std::string path = absl::StrCat(folder, "/", LogFileName(id.kind, id.number));
  auto file = files->OpenToRead(path);
  if (!file.ok()) return Named(path, file.status());
  LogReader reader(std::move(path), *std::move(file), record_bytes_max);
  SSMD_RETURN_IF_ERROR(reader.ReadHeader(id));
  return reader;
}

absl::Status LogReader::ReadHeader(LogFileId id) {
  SSMD_ASSIGN_OR_RETURN(const std::string_view bytes,
                        Window(0, std::min(file_->bytes(), LogFileHeader::kBytes)));
  const auto header = DecodeLogFileHeader(bytes);
  if (!header.ok()) return Named(absl::StrCat(path_, ": offset 0"), header.status());
  header_ = *header;
  if (header_.kind != id.kind || header_.number != static_cast<uint64_t>(id.number)) {
    return absl::DataLossError(absl::StrCat(
        path_, ": offset 0: is another file of a log by its header: it was renamed or replaced"));
  }
  offset_ = LogFileHeader::kBytes;
  return absl::OkStatus();
}

absl::StatusOr<LogReader::Found> LogReader::Next() {
  const int64_t left = file_->bytes() - offset_;
  const bool image = header_.kind == LogFileKind::kImage;
  if (left == 0 && !image) return Found::kEnd;
  if (left < LogFrame::kBytes) return Found::kDamage;
  SSMD_ASSIGN_OR_RETURN(const std::string_view head, Window(offset_, LogFrame::kBytes));
  const std::optional<LogFrame> frame = DecodeLogFrame(head, offset_, header_.salt);
  if (!frame.has_value()) return Found::kDamage;
  if (frame->length == 0) {
    return image && left == LogFrame::kBytes ? Found::kEnd : Found::kDamage;
  }
  if (frame->length > record_bytes_max_) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s: offset %d: holds a record of %d bytes, more than the %d that the log "
                        "is opened with: raise that limit",
                        path_, offset_, frame->length, record_bytes_max_));
  }
  if (frame->length > left - LogFrame::kBytes) return Found::kDamage;
  SSMD_ASSIGN_OR_RETURN(const std::string_view record,
                        Window(offset_ + LogFrame::kBytes, frame->length));
  if (DigestOfRecord(record, header_.salt) != frame->record_digest) return Found::kDamage;
  record_ = record;
  offset_ += LogFrame::kBytes + frame->length;
  return Found::kRecord;
}

absl::StatusOr<bool> LogReader::LaterWriteFollows() {
  for (int64_t at = offset_ + 1; at <= file_->bytes() - LogFrame::kBytes; ++at) {
    SSMD_ASSIGN_OR_RETURN(const std::string_view head, Window(at, LogFrame::kBytes));
    const std::optional<LogFrame> frame = DecodeLogFrame(head, at, header_.salt);
    if (frame.has_value() && at - frame->back > offset_) return true;
  }
  return false;
}

absl::StatusOr<std::string_view> LogReader::Window(int64_t offset, int64_t count) {
  const auto held = static_cast<int64_t>(window_.size());
  if (offset < window_offset_ || offset + count > window_offset_ + held) {
    const int64_t bytes = std::min(std::max(count, kWindowBytes), file_->bytes() - offset);
    window_.resize(static_cast<size_t>(bytes));
    window_offset_ = offset;
    if (absl::Status status = file_->ReadAt(offset, absl::MakeSpan(window_)); !status.ok()) {
      return Named(absl::StrCat(path_, ": offset ", offset), status);
    }
  }
  return std::string_view(window_.data() + (offset - window_offset_), static_cast<size_t>(count));
}

}  // namespace ssmd
