// See tenant_rates.h.
#include "server/access/tenant_rates.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"

namespace ssmd::server {
namespace {

constexpr double kSecondsOfMinute = 60;

absl::Status TooMuch(const std::string& message, std::string_view reason,
                     std::chrono::milliseconds delay) {
  return WithRetryAfter(WithReason(absl::ResourceExhaustedError(message), reason), delay);
}

}  // namespace

absl::Status TenantRates::TakeCall(const Caller& caller) {
  const double rate = caller.limits.rate.value_or(defaults_.rate);
  if (rate <= 0) return absl::OkStatus();
  const TimePoint now = clock_->Now();
  MutexLock lock(&mutex_);
  TokenBucket& bucket = calls_[caller.tenant];
  bucket.Set(std::max(1.0, rate), rate, now);
  if (!bucket.Has(1, now)) {
    return TooMuch(absl::StrCat("your limit of ", rate, " calls a second is reached"),
                   reason::kCallRate, bucket.Until(1, now));
  }
  bucket.Take(1, now);
  return absl::OkStatus();
}

absl::Status TenantRates::CheckTokens(const Caller& caller) {
  const double rate = caller.limits.tokens_per_minute.value_or(defaults_.tokens_per_minute);
  const TimePoint now = clock_->Now();
  MutexLock lock(&mutex_);
  if (rate <= 0) {
    tokens_.erase(caller.tenant);
    return absl::OkStatus();
  }
  TokenBucket& bucket = tokens_[caller.tenant];
  bucket.Set(rate, rate / kSecondsOfMinute, now);
  // Any token that is there will do: what a request comes to is known at its end. Of a limit below
  // one token, a whole one never would be.
  const double least = std::min(1.0, rate);
  if (bucket.Has(least, now)) return absl::OkStatus();
  return TooMuch(
      absl::StrCat("your limit of ", rate, " tokens a minute, read and generated, is used up"),
      reason::kTokenRate, bucket.Until(least, now));
}

void TenantRates::CountTokens(const std::string& tenant, int64_t tokens) {
  MutexLock lock(&mutex_);
  const auto found = tokens_.find(tenant);
  if (found != tokens_.end()) found->second.Take(static_cast<double>(tokens), clock_->Now());
}

}  // namespace ssmd::server
