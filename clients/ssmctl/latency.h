// Percentiles of a server's latency histograms, over a stretch of time: the difference of two looks
// at the same histogram.
#ifndef SSMD_CLIENTS_SSMCTL_LATENCY_H_
#define SSMD_CLIENTS_SSMCTL_LATENCY_H_

#include <cstdint>
#include <optional>

#include "ssmd/v1/admin.pb.h"

namespace ssmd::ctl {

struct Percentiles {
  uint64_t count = 0;
  double p50_ms = 0;
  double p95_ms = 0;
  double p99_ms = 0;
};

// Of the values that are in `now` and were not in `before` (which may be empty: since the start).
// Interpolated within a bucket, as Prometheus does; past the last bound it is that bound. Nothing
// when there were none, or when the two do not fit together.
std::optional<Percentiles> PercentilesOf(const v1::Latency& now, const v1::Latency& before);

}  // namespace ssmd::ctl

#endif  // SSMD_CLIENTS_SSMCTL_LATENCY_H_
