// What the tests of the commit log share: opening it, appending to it and waiting.
#ifndef SSMD_TESTS_UNIT_LOG_COMMIT_LOG_FIXTURE_H_
#define SSMD_TESTS_UNIT_LOG_COMMIT_LOG_FIXTURE_H_

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/log/commit_log.h"

namespace ssmd::testing {

inline constexpr char kLogFolder[] = "/state/log";

inline CommitLogOptions LogOptions(FileSystem* files, int64_t segment_bytes = 1 << 20) {
  CommitLogOptions options;
  options.directory = kLogFolder;
  options.segment_bytes = segment_bytes;
  options.files = files;
  return options;
}

// `records` gets what is replayed.
inline absl::StatusOr<std::unique_ptr<CommitLog>> OpenLog(const CommitLogOptions& options,
                                                          std::vector<std::string>* records) {
  records->clear();
  return CommitLog::Open(options, [records](std::string_view record) {
    records->emplace_back(record);
    return absl::OkStatus();
  });
}

inline std::future<absl::Status> StartAppend(CommitLog* log, std::string record,
                                             Durability durability = Durability::kProcess) {
  auto promise = std::make_shared<std::promise<absl::Status>>();
  log->Append(std::move(record), durability,
              [promise](absl::Status status) { promise->set_value(std::move(status)); });
  return promise->get_future();
}

inline absl::Status AppendAndWait(CommitLog* log, std::string record,
                                  Durability durability = Durability::kProcess) {
  return StartAppend(log, std::move(record), durability).get();
}

// Keeps the log's thread from going on, so that what is appended meanwhile waits together.
class BlockedLog {
 public:
  explicit BlockedLog(CommitLog* log, std::string record = "blocks") {
    log->Append(std::move(record), Durability::kProcess, [gate = gate_](const absl::Status&) {
      gate->blocked.set_value();
      gate->released.get_future().wait();
    });
    gate_->blocked.get_future().wait();
  }
  ~BlockedLog() { Release(); }
  void Release() {
    if (!std::exchange(released_, true)) gate_->released.set_value();
  }

 private:
  // Shared with the log's thread, which may still be at it when this is gone.
  struct Gate {
    std::promise<void> blocked;
    std::promise<void> released;
  };
  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  bool released_ = false;
};

// An image of these records.
inline std::function<absl::StatusOr<std::string>()> ImageOf(std::vector<std::string> records) {
  return [records = std::move(records), at = size_t{0}]() mutable -> absl::StatusOr<std::string> {
    return at < records.size() ? records[at++] : "";
  };
}

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_UNIT_LOG_COMMIT_LOG_FIXTURE_H_
