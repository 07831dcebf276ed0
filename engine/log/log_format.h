// The bytes of the commit log's files: the header that each begins with and the frames around its
// records (README.md, "Commit log"). Pure functions; thread-safe.
#ifndef SSMD_ENGINE_LOG_LOG_FORMAT_H_
#define SSMD_ENGINE_LOG_LOG_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ssmd {

enum class LogFileKind : uint32_t { kSegment = 1, kImage = 2 };

struct LogFileHeader {
  static constexpr int64_t kBytes = 48;

  LogFileKind kind = LogFileKind::kSegment;
  uint64_t number = 0;          // of the segment, or of the first that the image does not stand for
  uint64_t salt = 0;            // random: frames of one file mean nothing in another
  uint64_t previous_bytes = 0;  // of a segment: what the one before it holds; 0 where there is none
};

std::string EncodeLogFileHeader(const LogFileHeader& header);
// INVALID_ARGUMENT for what is no file of a log or of a newer version, DATA_LOSS for a header that
// was changed or cut off.
absl::StatusOr<LogFileHeader> DecodeLogFileHeader(std::string_view bytes);

// What precedes each record. A frame without bytes ends an image; a segment has none such.
struct LogFrame {
  static constexpr int64_t kBytes = 24;

  uint32_t length = 0;         // of the record
  uint32_t back = 0;           // from the frame to the first frame that was written with it
  uint64_t record_digest = 0;  // DigestOfRecord
};

uint64_t DigestOfRecord(std::string_view record, uint64_t salt);
// `offset`: of the frame in its file.
std::string EncodeLogFrame(const LogFrame& frame, int64_t offset, uint64_t salt);
// Nothing where the bytes are not what was written at this offset of this file.
// REQUIRES: kBytes bytes.
std::optional<LogFrame> DecodeLogFrame(std::string_view bytes, int64_t offset, uint64_t salt);

// "log-00000007", "image-00000007": numbers have as many digits as they need, at least eight.
std::string LogFileName(LogFileKind kind, int64_t number);

struct LogFileId {
  LogFileKind kind = LogFileKind::kSegment;
  int64_t number = 0;  // >= 1
};
// Of exactly the names that LogFileName gives.
std::optional<LogFileId> ParseLogFileName(std::string_view name);

// Files that are not complete yet have this after their name.
inline constexpr absl::string_view kUnfinishedSuffix = ".tmp";

}  // namespace ssmd

#endif  // SSMD_ENGINE_LOG_LOG_FORMAT_H_
