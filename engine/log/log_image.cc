#include "engine/log/log_image.h"

#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/log/log_writer.h"

namespace ssmd {

absl::StatusOr<int64_t> WriteLogImage(FileSystem* files, const std::string& folder, int64_t segment,
                                      int64_t record_bytes_max,
                                      const std::function<absl::StatusOr<std::string>()>& next) {
  LogFileHeader header;
  header.kind = LogFileKind::kImage;
  header.number = static_cast<uint64_t>(segment);
  SSMD_ASSIGN_OR_RETURN(const auto writer, LogWriter::Create(files, folder, header));
  while (true) {
    SSMD_ASSIGN_OR_RETURN(const std::string record, next());
    if (record.empty()) break;
    if (static_cast<int64_t>(record.size()) > record_bytes_max) {
      return absl::InvalidArgumentError(
          absl::StrFormat("a record of %d bytes is longer than the log's limit of %d",
                          record.size(), record_bytes_max));
    }
    SSMD_RETURN_IF_ERROR(writer->Put(record, writer->bytes()));
  }
  SSMD_RETURN_IF_ERROR(writer->PutEnd());
  SSMD_RETURN_IF_ERROR(writer->Finish());
  SSMD_RETURN_IF_ERROR(files->SyncDirectory(folder));
  return writer->bytes();
}

}  // namespace ssmd
