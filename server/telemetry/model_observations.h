// What was observed of a model, as plain values, for GetStats.
#ifndef SSMD_SERVER_TELEMETRY_MODEL_OBSERVATIONS_H_
#define SSMD_SERVER_TELEMETRY_MODEL_OBSERVATIONS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ssmd::server {

struct LatencyHistogram {
  std::vector<double> bounds_seconds;  // ascending
  std::vector<uint64_t> counts;        // cumulative; one more than bounds: the last is of all
  double sum_seconds = 0;
};

struct ModelObservations {
  LatencyHistogram first_token;
  LatencyHistogram inter_token;
  LatencyHistogram queue;
  std::vector<std::pair<std::string, LatencyHistogram>> steps;  // by phase
  std::vector<std::pair<std::string, int64_t>> outcomes;        // those that there were
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_TELEMETRY_MODEL_OBSERVATIONS_H_
