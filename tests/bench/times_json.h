// Order statistics of some times as a JSON object.
#ifndef SSMD_TESTS_BENCH_TIMES_JSON_H_
#define SSMD_TESTS_BENCH_TIMES_JSON_H_

#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "clients/bench/percentiles.h"

namespace ssmd::bench {

inline std::string TimesJson(const std::vector<double>& values) {
  const Percentiles times = PercentilesOf(values);
  return absl::StrFormat(R"({"mean":%.3f,"p50":%.3f,"p90":%.3f,"p99":%.3f,"max":%.3f})", times.mean,
                         times.p50, times.p90, times.p99, times.max);
}

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_TIMES_JSON_H_
