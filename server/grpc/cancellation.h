// A caller's wish to give up, which may come before there is anything to cancel: the engine call
// that it is about is made on another thread. Shared by the call and that thread. Thread-safe.
#ifndef SSMD_SERVER_GRPC_CANCELLATION_H_
#define SSMD_SERVER_GRPC_CANCELLATION_H_

#include <functional>
#include <utility>

#include "engine/base/mutex.h"

namespace ssmd::server {

class Cancellation {
 public:
  // What Trigger calls. Called here when it was triggered before.
  void Arm(std::function<void()> cancel) {
    {
      MutexLock lock(&mutex_);
      if (!triggered_) {
        cancel_ = std::move(cancel);
        return;
      }
    }
    cancel();
  }
  void Trigger() {
    std::function<void()> cancel;
    {
      MutexLock lock(&mutex_);
      triggered_ = true;
      cancel = std::exchange(cancel_, nullptr);
    }
    if (cancel) cancel();
  }

 private:
  Mutex mutex_;
  bool triggered_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> cancel_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_CANCELLATION_H_
