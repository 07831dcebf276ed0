#include "engine/session/session_recovery.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/session/log_record.h"

namespace ssmd {

SessionRecovery::SessionRecovery(SessionTable* table, ResolveState resolve)
    : table_(table), resolve_(std::move(resolve)) {
  resolve_once_ = [this](const std::string& id, int64_t position, size_t bytes) -> StateRef {
    const auto [known, is_new] = states_.try_emplace(id);
    if (is_new) known->second = resolve_(id, position, bytes);
    const StateRef& state = known->second;
    const bool same = state != nullptr && state->position == position && state->bytes == bytes;
    return same ? state : nullptr;
  };
}

absl::Status SessionRecovery::Add(std::string_view bytes) {
  SSMD_ASSIGN_OR_RETURN(const LogRecord record, DecodeLogRecord(bytes));
  const bool is_first = !std::exchange(started_, true);
  switch (record.kind) {
    case LogRecordKind::kImageStart:
      if (!is_first) return absl::DataLossError("an image starts amid the log");
      in_image_ = true;
      image_number_ = last_number_ = record.number;
      return absl::OkStatus();
    case LogRecordKind::kImagePart:
      if (!in_image_ || record.number != image_number_) {
        return absl::DataLossError("a part of an image is outside of it");
      }
      return Replay(record.changes);
    case LogRecordKind::kChanges:
      break;
  }
  in_image_ = false;
  if (record.number <= last_changes_) {
    return absl::DataLossError("the records of the log are out of order");
  }
  last_changes_ = record.number;
  last_number_ = std::max(last_number_, record.number);
  return record.number <= image_number_ ? absl::OkStatus() : Replay(record.changes);
}

absl::Status SessionRecovery::Replay(std::string_view changes) {
  SSMD_ASSIGN_OR_RETURN(std::vector<SessionChange> decoded, DecodeChanges(changes, resolve_once_));
  return table_->Replay(std::move(decoded));
}

}  // namespace ssmd
