// Spares callers the wait for a server that has just failed: for a time after a failure calls are
// refused at once; then one goes through, as a probe, and its end decides for all.
//
// Thread-safe.
#ifndef SSMD_ENGINE_SHARED_CIRCUIT_BREAKER_H_
#define SSMD_ENGINE_SHARED_CIRCUIT_BREAKER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/clock.h"
#include "engine/base/mutex.h"

namespace ssmd {

class CircuitBreaker {
 public:
  // `clock` must outlive it.
  CircuitBreaker(const Clock* clock, Duration retry_after)
      : clock_(clock), retry_after_(retry_after) {}

  struct Pass {
    bool probe = false;
    TimePoint since;
  };
  // Who gets a pass says, once, how it went. The refusal is the last failure, with the time after
  // which trying again makes sense. A call that may take long should not be the probe.
  absl::StatusOr<Pass> Enter(bool may_probe);
  void Succeeded(const Pass& pass);
  // Of a call that began before one that succeeded it says nothing new.
  void Failed(const Pass& pass, const absl::Status& why);
  // Neither: nothing is known that was not known before.
  void Left(const Pass& pass);

  // Whether one that got a pass and has not begun yet had better not: the refusal, or OK.
  absl::Status StillOpenTo(const Pass& pass) const;
  bool closed() const;

 private:
  absl::Status RefusalNow() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock* const clock_;
  const Duration retry_after_;
  mutable Mutex mutex_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  bool probing_ ABSL_GUARDED_BY(mutex_) = false;
  TimePoint until_ ABSL_GUARDED_BY(mutex_);
  TimePoint proven_ ABSL_GUARDED_BY(mutex_);  // when the latest that succeeded began
  std::string why_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SHARED_CIRCUIT_BREAKER_H_
