// See refusal_audit.h.
#include "server/access/refusal_audit.h"

#include <utility>

#include "server/telemetry/log.h"
#include "server/telemetry/metrics.h"

namespace ssmd::server {

RefusalAudit::RefusalAudit(Log* log, Metrics* metrics, const Clock* clock)
    : log_(log), metrics_(metrics), clock_(clock) {
  lines_.Set(kLinesAtOnce, kLinesPerSecond, clock->Now());
}

void RefusalAudit::Refused(std::string_view peer, std::string_view what, CredentialFault why,
                           std::string_view tenant) {
  metrics_->CountRefusedCredential(why);
  {
    MutexLock lock(&mutex_);
    const TimePoint now = clock_->Now();
    if (!lines_.Has(1, now)) {
      ++left_out_;
      return;
    }
    lines_.Take(1, now);
  }
  log_->Write(LogLevel::kWarn, "credential_refused",
              {{"peer", peer},
               {"what", what},
               {"credential", std::string_view(NameOf(why))},
               {"tenant", tenant}});
}

void RefusalAudit::Tick() {
  int64_t left_out = 0;
  {
    MutexLock lock(&mutex_);
    const TimePoint now = clock_->Now();
    if (left_out_ == 0 || !lines_.Has(1, now)) return;
    lines_.Take(1, now);
    left_out = std::exchange(left_out_, 0);
  }
  log_->Write(LogLevel::kWarn, "credentials_refused_unlogged", {{"calls", left_out}});
}

}  // namespace ssmd::server
