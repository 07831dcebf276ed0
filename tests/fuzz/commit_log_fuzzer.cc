// Any bytes as a file of a commit log: refused with the file untouched, or a log that goes on, and
// gives the same records and what was appended when it is opened again.
//
// The first byte says which file (the only segment, an image, or a segment with another after it)
// and, where its lowest bit is set, that the checksums are made right first.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "engine/log/commit_log.h"
#include "engine/log/log_format.h"
#include "tests/support/fault_file_system.h"

namespace {

constexpr char kFolder[] = "/log";

// A header that keeps the salt it finds, and frames that keep their lengths.
void Repair(ssmd::LogFileHeader header, std::string* bytes) {
  if (bytes->size() < static_cast<size_t>(ssmd::LogFileHeader::kBytes)) return;
  std::memcpy(&header.salt, bytes->data() + 24, sizeof(header.salt));
  bytes->replace(0, static_cast<size_t>(ssmd::LogFileHeader::kBytes),
                 ssmd::EncodeLogFileHeader(header));
  auto at = static_cast<size_t>(ssmd::LogFileHeader::kBytes);
  const auto head = static_cast<size_t>(ssmd::LogFrame::kBytes);
  while (bytes->size() - at >= head) {
    ssmd::LogFrame frame;
    std::memcpy(&frame.length, bytes->data() + at, sizeof(frame.length));
    std::memcpy(&frame.back, bytes->data() + at + 4, sizeof(frame.back));
    if (frame.length > bytes->size() - at - head) return;
    frame.record_digest =
        ssmd::DigestOfRecord({bytes->data() + at + head, frame.length}, header.salt);
    bytes->replace(at, head, ssmd::EncodeLogFrame(frame, static_cast<int64_t>(at), header.salt));
    at += head + frame.length;
  }
}

std::string EmptySegment(uint64_t number, size_t previous_bytes) {
  ssmd::LogFileHeader header;
  header.number = number;
  header.previous_bytes = previous_bytes;
  return ssmd::EncodeLogFileHeader(header);
}

absl::StatusOr<std::unique_ptr<ssmd::CommitLog>> Open(ssmd::FileSystem* files,
                                                      std::vector<std::string>* records) {
  ssmd::CommitLogOptions options;
  options.directory = kFolder;
  options.record_bytes_max = 4096;
  options.files = files;
  return ssmd::CommitLog::Open(options, [records](std::string_view record) {
    records->emplace_back(record);
    return absl::OkStatus();
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const int place = (data[0] >> 1) % 3;
  ssmd::LogFileHeader header;
  header.kind = place == 1 ? ssmd::LogFileKind::kImage : ssmd::LogFileKind::kSegment;
  header.number = place == 1 ? 2 : 1;
  if (data[0] % 2 == 1) Repair(header, &bytes);

  ssmd::testing::FaultFileSystem files;
  const std::string path = std::string(kFolder) + "/" +
                           ssmd::LogFileName(header.kind, static_cast<int64_t>(header.number));
  files.Write(path, bytes);
  if (place > 0) files.Write(std::string(kFolder) + "/log-00000002", EmptySegment(2, bytes.size()));

  std::vector<std::string> records;
  {
    const auto log = Open(&files, &records);
    if (!log.ok()) {
      if (files.Read(path) != bytes) std::abort();
      return 0;
    }
    (*log)->Append("after", ssmd::Durability::kProcess, [](const absl::Status& status) {
      if (!status.ok()) std::abort();
    });
  }
  records.emplace_back("after");
  std::vector<std::string> again;
  if (!Open(&files, &again).ok() || again != records) std::abort();
  return 0;
}
