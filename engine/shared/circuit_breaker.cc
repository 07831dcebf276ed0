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

absl::StatusOr<CircuitBreaker::Pass> CircuitBreaker::Enter() {
  const MutexLock lock(&mutex_);
  if (!open_) return Pass::kUsual;
  if (probing_ || clock_->Now() < until_) return RefusalNow();
  probing_ = true;
  return Pass::kProbe;
}

void CircuitBreaker::Succeeded(Pass pass) {
  const MutexLock lock(&mutex_);
  if (pass == Pass::kProbe) probing_ = false;
  open_ = false;
}

void CircuitBreaker::Failed(Pass pass, const absl::Status& why) {
  const MutexLock lock(&mutex_);
  if (pass == Pass::kProbe) probing_ = false;
  open_ = true;
  until_ = clock_->Now() + retry_after_;
  why_ = std::string(why.message());
}

void CircuitBreaker::Left(Pass pass) {
  const MutexLock lock(&mutex_);
  if (pass == Pass::kProbe) probing_ = false;
}

absl::Status CircuitBreaker::StillOpenTo(Pass pass) const {
  const MutexLock lock(&mutex_);
  return open_ && pass == Pass::kUsual ? RefusalNow() : absl::OkStatus();
}

bool CircuitBreaker::closed() const {
  const MutexLock lock(&mutex_);
  return !open_;
}

}  // namespace ssmd
