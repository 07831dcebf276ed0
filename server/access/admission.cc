// See admission.h.
#include "server/access/admission.h"

#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"

namespace ssmd::server {
namespace {

constexpr std::chrono::milliseconds kRetryTurnDelay(500);

absl::Status Full(const std::string& message, std::string_view reason) {
  return WithRetryAfter(WithReason(absl::ResourceExhaustedError(message), reason), kRetryTurnDelay);
}

}  // namespace

absl::StatusOr<Admission::Ticket> Admission::Enter(const std::string& tenant) {
  MutexLock lock(&mutex_);
  asked_ = std::chrono::steady_clock::now();
  if (active_ >= requests_max_) {
    return Full(absl::StrCat("the server's limit of ", requests_max_,
                             " calls at once (--max-requests) is reached; try again later"),
                "TOO_MANY_REQUESTS");
  }
  const auto found = tenants_.find(tenant);
  if (found != tenants_.end() && found->second >= tenant_requests_max_) {
    return Full(
        absl::StrCat("your limit of ", tenant_requests_max_,
                     " calls at once (--max-tenant-requests) is reached; wait for one to end"),
        "TOO_MANY_TENANT_REQUESTS");
  }
  ++active_;
  ++tenants_[tenant];
  return Ticket(this, tenant);
}

int Admission::active() const {
  MutexLock lock(&mutex_);
  return active_;
}

bool Admission::WaitIdle(TimePoint deadline) {
  MutexLock lock(&mutex_);
  while (active_ > 0) {
    if (!left_.WaitUntil(&mutex_, deadline)) return active_ == 0;
  }
  return true;
}

bool Admission::WaitQuiet(Duration quiet, TimePoint deadline) {
  const TimePoint start = std::chrono::steady_clock::now();
  MutexLock lock(&mutex_);
  for (;;) {
    const TimePoint until = std::max(start, asked_) + quiet;
    if (std::chrono::steady_clock::now() >= until) return true;
    if (std::chrono::steady_clock::now() >= deadline) return false;
    left_.WaitUntil(&mutex_, std::min(until, deadline));
  }
}

void Admission::Leave(const std::string& tenant) {
  MutexLock lock(&mutex_);
  --active_;
  const auto found = tenants_.find(tenant);
  if (--found->second == 0) tenants_.erase(found);
  left_.NotifyAll();
}

}  // namespace ssmd::server
