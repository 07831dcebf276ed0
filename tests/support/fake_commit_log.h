// A CommitLog in memory that does what it is told: acknowledges, fails, compacts, and crashes. Its
// FakeLogMedium is what is left after a crash.
//
// Appends wait until Acknowledge or Fail is called, whose thread is the log's thread then; but
// while a compaction waits for its own record, appends are acknowledged at once (there is nobody
// else to do it in a test of one thread), as they always are after AcknowledgeAtOnce.
#ifndef SSMD_TESTS_SUPPORT_FAKE_COMMIT_LOG_H_
#define SSMD_TESTS_SUPPORT_FAKE_COMMIT_LOG_H_

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/mutex.h"
#include "engine/base/status_macros.h"
#include "engine/log/commit_log.h"

namespace ssmd::test {

struct FakeLogMedium {
  std::vector<std::string> image;
  std::map<int64_t, std::vector<std::string>> segments = {{1, {}}};

  int64_t image_bytes() const { return BytesOf(image); }
  int64_t bytes() const {
    int64_t sum = image_bytes();
    for (const auto& [number, records] : segments) sum += BytesOf(records);
    return sum;
  }
  absl::Status ReadAll(const std::function<absl::Status(std::string_view)>& replay) const {
    for (const std::string& record : image) SSMD_RETURN_IF_ERROR(replay(record));
    for (const auto& [number, records] : segments) {
      for (const std::string& record : records) SSMD_RETURN_IF_ERROR(replay(record));
    }
    return absl::OkStatus();
  }

 private:
  static int64_t BytesOf(const std::vector<std::string>& records) {
    int64_t sum = 0;
    for (const std::string& record : records) sum += static_cast<int64_t>(record.size());
    return sum;
  }
};

class FakeCommitLog final : public CommitLog {
 public:
  enum class Step : uint8_t { kBeforeSegment, kAfterSegment, kImageRecord, kBeforeRemoval };

  explicit FakeCommitLog(FakeLogMedium* medium) : medium_(medium) {}
  ~FakeCommitLog() override {
    while (Fail(absl::CancelledError("the log is gone"))) {
    }
  }

  // Called between the steps of a compaction, on its thread. An error ends the compaction there.
  void set_on_step(std::function<absl::Status(Step)> on_step) { on_step_ = std::move(on_step); }
  void AcknowledgeAtOnce(bool at_once) {
    MutexLock lock(&mutex_);
    at_once_ = at_once;
  }

  size_t queued() const {
    MutexLock lock(&mutex_);
    return queue_.size();
  }
  // The append that waits longest. False when none does.
  bool Acknowledge() {
    std::optional<Appended> appended = Pop(/*write=*/true);
    if (appended.has_value()) appended->done(absl::OkStatus());
    return appended.has_value();
  }
  bool Fail(absl::Status status) {
    std::optional<Appended> appended = Pop(/*write=*/false);
    if (appended.has_value()) appended->done(std::move(status));
    return appended.has_value();
  }
  // So many of the appends that wait have reached the medium, unacknowledged; nothing does any
  // more.
  void Crash(size_t survivors) {
    for (; survivors > 0; --survivors) Pop(/*write=*/true);
    MutexLock lock(&mutex_);
    crashed_ = true;
  }

  void Append(std::string record, Durability durability,
              std::function<void(absl::Status)> done) override {
    bool at_once = false;
    {
      MutexLock lock(&mutex_);
      powers_ += durability == Durability::kPower ? 1 : 0;
      queue_.push_back({std::move(record), std::move(done)});
      at_once = at_once_;
    }
    while (at_once && Acknowledge()) {
    }
  }
  absl::StatusOr<int64_t> StartSegment() override {
    SSMD_RETURN_IF_ERROR(OnStep(Step::kBeforeSegment));
    while (Acknowledge()) {
    }
    const int64_t segment = medium_->segments.rbegin()->first + 1;
    medium_->segments[segment];
    SSMD_RETURN_IF_ERROR(OnStep(Step::kAfterSegment));
    AcknowledgeAtOnce(true);
    return segment;
  }
  absl::Status Install(int64_t segment,
                       const std::function<absl::StatusOr<std::string>()>& next) override {
    AcknowledgeAtOnce(false);
    std::vector<std::string> image;
    for (;;) {
      SSMD_ASSIGN_OR_RETURN(std::string record, next());
      if (record.empty()) break;
      image.push_back(std::move(record));
      SSMD_RETURN_IF_ERROR(OnStep(Step::kImageRecord));
    }
    SSMD_RETURN_IF_ERROR(OnStep(Step::kBeforeRemoval));
    medium_->image = std::move(image);
    medium_->segments.erase(medium_->segments.begin(), medium_->segments.find(segment));
    return absl::OkStatus();
  }
  CommitLogFigures figures() const override {
    CommitLogFigures figures;
    figures.bytes = medium_->bytes();
    figures.image_bytes = medium_->image_bytes();
    return figures;
  }
  int64_t powers() const {
    MutexLock lock(&mutex_);
    return powers_;
  }

 private:
  struct Appended {
    std::string record;
    std::function<void(absl::Status)> done;
  };
  absl::Status OnStep(Step step) { return on_step_ ? on_step_(step) : absl::OkStatus(); }
  std::optional<Appended> Pop(bool write) {
    MutexLock lock(&mutex_);
    if (queue_.empty()) return std::nullopt;
    Appended appended = std::move(queue_.front());
    queue_.pop_front();
    if (write && !crashed_) medium_->segments.rbegin()->second.push_back(appended.record);
    return appended;
  }

  FakeLogMedium* const medium_;
  std::function<absl::Status(Step)> on_step_;
  mutable Mutex mutex_;
  std::deque<Appended> queue_ ABSL_GUARDED_BY(mutex_);
  bool at_once_ ABSL_GUARDED_BY(mutex_) = false;
  bool crashed_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t powers_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace ssmd::test

#endif  // SSMD_TESTS_SUPPORT_FAKE_COMMIT_LOG_H_
