#include "engine/log/log_writer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/secure_random.h"
#include "engine/base/status_macros.h"

namespace ssmd {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

std::string PathOf(const std::string& folder, LogFileKind kind, int64_t number) {
  return absl::StrCat(folder, "/", LogFileName(kind, number));
}

}  // namespace

absl::StatusOr<std::unique_ptr<LogWriter>> LogWriter::Create(FileSystem* files,
                                                             const std::string& folder,
                                                             LogFileHeader header) {
  header.salt = SecureRandom64();
  std::string path = PathOf(folder, header.kind, static_cast<int64_t>(header.number));
  const std::string unfinished = absl::StrCat(path, kUnfinishedSuffix);
  // What an earlier attempt could not remove; mostly there is nothing.
  files->Remove(unfinished).IgnoreError();
  SSMD_ASSIGN_OR_RETURN(auto file, files->Create(unfinished));
  std::unique_ptr<LogWriter> writer(new LogWriter(files, std::move(path), std::move(file)));
  writer->salt_ = header.salt;
  writer->buffer_ = EncodeLogFileHeader(header);
  writer->bytes_ = LogFileHeader::kBytes;
  return writer;
}

absl::StatusOr<std::unique_ptr<LogWriter>> LogWriter::Reopen(FileSystem* files,
                                                             const std::string& folder,
                                                             LogFileId id, int64_t bytes,
                                                             uint64_t salt) {
  std::string path = PathOf(folder, id.kind, id.number);
  auto file = files->OpenToAppend(path);
  if (!file.ok()) return Named(path, file.status());
  std::unique_ptr<LogWriter> writer(new LogWriter(files, std::move(path), *std::move(file)));
  writer->salt_ = salt;
  writer->bytes_ = bytes;
  writer->finished_ = true;
  return writer;
}

LogWriter::~LogWriter() {
  // Where that fails, the next Create of this name or the next start removes it.
  if (!finished_) files_->Remove(UnfinishedPath()).IgnoreError();
}

absl::Status LogWriter::Put(std::string_view record, int64_t write_begin) {
  LogFrame frame;
  frame.length = static_cast<uint32_t>(record.size());
  frame.back = static_cast<uint32_t>(bytes_ - write_begin);
  frame.record_digest = DigestOfRecord(record, salt_);
  PutFrame(frame);
  bytes_ += frame.length;
  if (buffer_.size() + record.size() <= kBufferBytes) {
    buffer_.append(record);
    return absl::OkStatus();
  }
  SSMD_RETURN_IF_ERROR(Flush());
  return file_->Append(record);
}

absl::Status LogWriter::PutEnd() {
  PutFrame(LogFrame());
  return Flush();
}

absl::Status LogWriter::Flush() {
  if (buffer_.empty()) return absl::OkStatus();
  SSMD_RETURN_IF_ERROR(file_->Append(buffer_));
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status LogWriter::Truncate(int64_t bytes) {
  buffer_.clear();
  bytes_ = bytes;
  return file_->Truncate(bytes);
}

absl::Status LogWriter::Finish() {
  SSMD_RETURN_IF_ERROR(Flush());
  SSMD_RETURN_IF_ERROR(Sync());
  SSMD_RETURN_IF_ERROR(files_->Rename(UnfinishedPath(), path_));
  finished_ = true;
  return absl::OkStatus();
}

void LogWriter::PutFrame(const LogFrame& frame) {
  buffer_.append(EncodeLogFrame(frame, bytes_, salt_));
  bytes_ += LogFrame::kBytes;
}

std::string LogWriter::UnfinishedPath() const { return absl::StrCat(path_, kUnfinishedSuffix); }

}  // namespace ssmd
