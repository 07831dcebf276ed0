// Latency histograms as plain values, for GetStats.
#ifndef SSMD_SERVER_TELEMETRY_LATENCY_H_
#define SSMD_SERVER_TELEMETRY_LATENCY_H_

#include <cstdint>
#include <vector>

namespace ssmd::server {

struct LatencyHistogram {
  std::vector<double> bounds_seconds;  // ascending
  std::vector<uint64_t> counts;        // cumulative; one more than bounds: the last is of all
  double sum_seconds = 0;
};

struct ModelLatencies {
  LatencyHistogram first_token;
  LatencyHistogram inter_token;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_TELEMETRY_LATENCY_H_
