#include "engine/session/log_record.h"

#include <cstring>

#include "engine/base/little_endian.h"

namespace ssmd {
namespace {

constexpr size_t kFrontBytes = sizeof(uint8_t) + sizeof(uint64_t);

}  // namespace

std::string EncodeLogRecord(LogRecordKind kind, uint64_t number,
                            const std::vector<SessionChange>& changes) {
  std::string front;
  PutLittleEndian(&front, static_cast<uint8_t>(kind));
  PutLittleEndian(&front, number);
  return front + EncodeChanges(changes);
}

void SetLogRecordNumber(uint64_t number, std::string* record) {
  std::memcpy(record->data() + sizeof(uint8_t), &number, sizeof(number));
}

absl::StatusOr<LogRecord> DecodeLogRecord(std::string_view record) {
  const auto kind = record.empty() ? uint8_t{0} : static_cast<uint8_t>(record[0]);
  if (record.size() < kFrontBytes || kind < static_cast<uint8_t>(LogRecordKind::kChanges) ||
      kind > static_cast<uint8_t>(LogRecordKind::kImagePart)) {
    return absl::DataLossError("a record of the log is none of session changes");
  }
  return LogRecord{static_cast<LogRecordKind>(kind), GetLittleEndian<uint64_t>(record.data() + 1),
                   record.substr(kFrontBytes)};
}

}  // namespace ssmd
