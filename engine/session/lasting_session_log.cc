#include "engine/session/lasting_session_log.h"

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "engine/session/log_record.h"

namespace ssmd {

LastingSessionLog::LastingSessionLog(SessionTable* table, std::unique_ptr<CommitLog> log,
                                     uint64_t next_number, int64_t compact_bytes)
    : table_(table),
      compact_bytes_(compact_bytes),
      next_number_(next_number),
      log_(std::move(log)) {}

void LastingSessionLog::Append(const std::vector<SessionChange>& changes, Durability durability,
                               std::function<void(uint64_t, absl::Status)> done) {
  std::string record = EncodeLogRecord(LogRecordKind::kChanges, 0, changes);
  MutexLock lock(&mutex_);
  const uint64_t number = next_number_++;
  SetLogRecordNumber(number, &record);
  log_->Append(
      std::move(record), durability,
      [number, done = std::move(done)](absl::Status status) { done(number, std::move(status)); });
}

void LastingSessionLog::Write(Proposal proposal, Durability durability, Done done) {
  // Shared with the callback only because a std::function has to be copyable.
  auto shared = std::make_shared<Proposal>(std::move(proposal));
  Append(shared->changes(), durability,
         [this, shared, done = std::move(done)](uint64_t /*number*/, absl::Status status) {
           if (status.ok()) {
             done(table_->Apply(std::move(*shared)));
           } else {
             shared->Abandon();
             done(std::move(status));
           }
         });
}

absl::StatusOr<LastingSessionLog::Frozen> LastingSessionLog::FreezeInOrder() {
  Mutex mutex;
  CondVar written;
  std::optional<absl::StatusOr<Frozen>> frozen;
  Append({}, Durability::kProcess, [&](uint64_t number, const absl::Status& status) {
    MutexLock lock(&mutex);
    if (status.ok()) {
      frozen.emplace(Frozen{number, table_->Freeze()});
    } else {
      frozen.emplace(UnsharedCopy(status));
    }
    written.NotifyAll();
  });
  MutexLock lock(&mutex);
  while (!frozen.has_value()) written.Wait(&mutex);
  return *std::move(frozen);
}

absl::Status LastingSessionLog::Compact() {
  SSMD_ASSIGN_OR_RETURN(const int64_t segment, log_->StartSegment());
  SSMD_ASSIGN_OR_RETURN(Frozen frozen, FreezeInOrder());
  bool started = false;
  return log_->Install(segment, [&]() -> absl::StatusOr<std::string> {
    if (!std::exchange(started, true)) {
      return EncodeLogRecord(LogRecordKind::kImageStart, frozen.number, {});
    }
    if (frozen.sessions.empty()) return std::string();
    const std::vector<SessionChange> image = {frozen.sessions.back().Image()};
    frozen.sessions.pop_back();
    return EncodeLogRecord(LogRecordKind::kImagePart, frozen.number, image);
  });
}

absl::Status LastingSessionLog::Maintain() {
  const CommitLogFigures figures = log_->figures();
  if (figures.bytes <= compact_bytes_ || figures.bytes / 2 <= figures.image_bytes) {
    return absl::OkStatus();
  }
  {
    MutexLock lock(&maintenance_mutex_);
    if (std::exchange(compacting_, true)) return absl::OkStatus();
  }
  absl::Status status = Compact();
  MutexLock lock(&maintenance_mutex_);
  compacting_ = false;
  return status;
}

}  // namespace ssmd
