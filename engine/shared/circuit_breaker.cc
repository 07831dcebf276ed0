#include "engine/shared/circuit_breaker.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"

namespace ssmd {

absl::Status CircuitBreaker::RefusalNow() const {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(std::max(until_ - clock_->Now(), Duration(0)));
  return WithRetryAfter(absl::UnavailableError(absl::StrCat(why_, " (not tried again yet)")),
                        std::max(left, std::chrono::milliseconds(1)));
}

absl::StatusOr<CircuitBreaker::Pass> CircuitBreaker::Enter(bool may_probe) {
  const MutexLock lock(&mutex_);
  const TimePoint now = clock_->Now();
  if (!open_) return Pass{false, now};
  if (probing_ || !may_probe || now < until_) return RefusalNow();
  probing_ = true;
  return Pass{true, now};
}

void CircuitBreaker::Succeeded(const Pass& pass) {
  const MutexLock lock(&mutex_);
  if (pass.probe) probing_ = false;
  proven_ = std::max(proven_, pass.since);
  open_ = false;
}

void CircuitBreaker::Failed(const Pass& pass, const absl::Status& why) {
  const MutexLock lock(&mutex_);
  if (pass.probe) probing_ = false;
  if (pass.since < proven_) return;
  open_ = true;
  until_ = clock_->Now() + retry_after_;
  why_ = std::string(why.message());
}

void CircuitBreaker::Left(const Pass& pass) {
  const MutexLock lock(&mutex_);
  if (pass.probe) probing_ = false;
}

absl::Status CircuitBreaker::StillOpenTo(const Pass& pass) const {
  const MutexLock lock(&mutex_);
  return open_ && !pass.probe ? RefusalNow() : absl::OkStatus();
}

bool CircuitBreaker::closed() const {
  const MutexLock lock(&mutex_);
  return !open_;
}

}  // namespace ssmd
