// The figures of sessions that replicas share, as metrics. Made where there are any: without a
// shared store a store that is down would be a false alarm.
#ifndef SSMD_SERVER_TELEMETRY_SHARING_SERIES_H_
#define SSMD_SERVER_TELEMETRY_SHARING_SERIES_H_

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include "engine/shared/session_sharing.h"

namespace ssmd::server {

// One thread.
class SharingSeries {
 public:
  explicit SharingSeries(prometheus::Registry* r);
  void Refresh(const SharingFigures& figures);

 private:
  prometheus::Gauge* const up_;
  prometheus::Gauge* const sessions_;
  prometheus::Gauge* const unwritten_;
  prometheus::Gauge* const lag_;
  prometheus::Gauge* const queued_;
  prometheus::Counter* const claimed_;
  prometheus::Counter* const taken_over_;
  prometheus::Counter* const given_up_;
  prometheus::Counter* const lost_;
  prometheus::Counter* const failures_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_TELEMETRY_SHARING_SERIES_H_
