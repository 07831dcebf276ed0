// The answer of the log to a turn's commit, on its way to the step thread. Thread-safe.
#ifndef SSMD_ENGINE_SCHEDULE_PENDING_COMMIT_H_
#define SSMD_ENGINE_SCHEDULE_PENDING_COMMIT_H_

#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/errors.h"
#include "engine/base/mutex.h"
#include "engine/session/session.h"

namespace ssmd {

class PendingCommit {
 public:
  using Result = absl::StatusOr<std::vector<SessionInfo>>;

  void Set(Result result) {
    MutexLock lock(&mutex_);
    if (result.ok()) {
      result_.emplace(std::move(result));
    } else {
      result_.emplace(UnsharedCopy(result.status()));
    }
  }
  // Once; absent until it was set.
  std::optional<Result> Take() {
    MutexLock lock(&mutex_);
    return std::exchange(result_, std::nullopt);
  }

 private:
  Mutex mutex_;
  std::optional<Result> result_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_PENDING_COMMIT_H_
