// See sharing_series.h.
#include "server/telemetry/sharing_series.h"

#include "server/telemetry/series.h"

namespace ssmd::server {

SharingSeries::SharingSeries(prometheus::Registry* r)
    : up_(Gauge(r, "ssmd_shared_store_up", "1 while the replicas' shared store of sessions answers",
                {})),
      sessions_(Gauge(r, "ssmd_shared_sessions",
                      "Sessions in the shared store that this replica owns", {})),
      unwritten_(Gauge(r, "ssmd_shared_unwritten_sessions",
                       "Of those, with commits that the shared store does not have", {})),
      lag_(Gauge(r, "ssmd_shared_lag_seconds",
                 "Since the oldest commit that the shared store does not have", {})),
      queued_(Gauge(r, "ssmd_shared_queue_bytes",
                    "Commits that wait to be written to the shared store", {})),
      claimed_(Counter(r, "ssmd_shared_claimed_total",
                       "Sessions that came here from other replicas", {})),
      taken_over_(Counter(r, "ssmd_shared_taken_over_total",
                          "Of those, from replicas that had gone without giving them up", {})),
      given_up_(
          Counter(r, "ssmd_shared_given_up_total", "Sessions given up to other replicas", {})),
      lost_(Counter(r, "ssmd_shared_lost_total",
                    "Sessions that other replicas had taken over while this one thought that they "
                    "were its own",
                    {})),
      failures_(Counter(r, "ssmd_shared_store_failures_total",
                        "Calls to the shared store that failed", {})) {}

void SharingSeries::Refresh(const SharingFigures& figures) {
  up_->Set(figures.reachable ? 1 : 0);
  sessions_->Set(static_cast<double>(figures.sessions));
  unwritten_->Set(static_cast<double>(figures.unwritten));
  lag_->Set(Seconds(figures.lag));
  queued_->Set(static_cast<double>(figures.queued_bytes));
  CatchUp(figures.claimed, claimed_);
  CatchUp(figures.taken_over, taken_over_);
  CatchUp(figures.given_up, given_up_);
  CatchUp(figures.lost, lost_);
  CatchUp(figures.failures, failures_);
}

}  // namespace ssmd::server
