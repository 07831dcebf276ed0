// Order statistics of a set of measurements.
#ifndef SSMD_CLIENTS_BENCH_PERCENTILES_H_
#define SSMD_CLIENTS_BENCH_PERCENTILES_H_

#include <vector>

namespace ssmd::bench {

struct Percentiles {
  double mean = 0;
  double p50 = 0;
  double p90 = 0;
  double p95 = 0;
  double p99 = 0;
  double max = 0;
};

// Each by nearest rank: the smallest value that at least that share of the values does not exceed.
// All zero for no values.
Percentiles PercentilesOf(std::vector<double> values);

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_PERCENTILES_H_
