// Wakes the step thread. Shared: streams wake the loop from their readers' threads, and a reader
// may hold its stream for longer than the engine lives.
#ifndef SSMD_ENGINE_SCHEDULE_WAKER_H_
#define SSMD_ENGINE_SCHEDULE_WAKER_H_

#include <optional>

#include "engine/base/clock.h"
#include "engine/base/mutex.h"

namespace ssmd {

// Thread-safe. A Wake() before a wait ends that wait at once; several count as one.
class Waker {
 public:
  void Wake() {
    MutexLock lock(&mutex_);
    woken_ = true;
    condition_.NotifyOne();
  }

  // `deadline` is on the steady clock; absent: waits for Wake() alone.
  void Wait(std::optional<TimePoint> deadline) {
    MutexLock lock(&mutex_);
    while (!woken_) {
      if (!deadline.has_value()) {
        condition_.Wait(&mutex_);
      } else if (!condition_.WaitUntil(&mutex_, *deadline)) {
        break;
      }
    }
    woken_ = false;
  }

 private:
  Mutex mutex_;
  CondVar condition_;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_WAKER_H_
