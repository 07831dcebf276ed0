// What SessionLog puts into a record of the commit log: a kind and a number before the changes.
// Numbers ascend with the log, so that an image can say up to where it goes.
//
// Pure functions; thread-safe.
#ifndef SSMD_ENGINE_SESSION_LOG_RECORD_H_
#define SSMD_ENGINE_SESSION_LOG_RECORD_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/session/session_change.h"

namespace ssmd {

enum class LogRecordKind : uint8_t {
  kChanges = 1,     // that happen together
  kImageStart = 2,  // of an image, which stands for every record up to this number; no changes
  kImagePart = 3,   // of the image that was started
};

struct LogRecord {
  LogRecordKind kind = LogRecordKind::kChanges;
  uint64_t number = 0;
  std::string_view changes;  // EncodeChanges
};

std::string EncodeLogRecord(LogRecordKind kind, uint64_t number,
                            const std::vector<SessionChange>& changes);
// REQUIRES: a record that EncodeLogRecord gave.
void SetLogRecordNumber(uint64_t number, std::string* record);
// DATA_LOSS. What is returned points into `record`.
absl::StatusOr<LogRecord> DecodeLogRecord(std::string_view record);

}  // namespace ssmd

#endif  // SSMD_ENGINE_SESSION_LOG_RECORD_H_
