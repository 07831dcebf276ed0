// Short ways to make Prometheus series. Families of the same name are merged by the registry; every
// call adds its own set of labels.
#ifndef SSMD_SERVER_TELEMETRY_SERIES_H_
#define SSMD_SERVER_TELEMETRY_SERIES_H_

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <cstdint>
#include <string>

namespace ssmd::server {

using Buckets = prometheus::Histogram::BucketBoundaries;
using Labels = prometheus::Labels;

prometheus::Counter* Counter(prometheus::Registry* registry, const char* name, const char* help,
                             const Labels& labels);
prometheus::Gauge* Gauge(prometheus::Registry* registry, const char* name, const char* help,
                         const Labels& labels);
prometheus::Histogram* Histogram(prometheus::Registry* registry, const char* name, const char* help,
                                 const Labels& labels, const Buckets& buckets);
Labels With(Labels labels, const char* key, const std::string& value);

// One counter for each value of a label, in the values' order.
template <size_t kCount>
std::array<prometheus::Counter*, kCount> Counters(prometheus::Registry* registry, const char* name,
                                                  const char* help, const Labels& labels,
                                                  const char* key,
                                                  const std::array<const char*, kCount>& values) {
  std::array<prometheus::Counter*, kCount> counters{};
  for (size_t i = 0; i < kCount; ++i) {
    counters[i] = Counter(registry, name, help, With(labels, key, values[i]));
  }
  return counters;
}

// Raises a counter to a total that somebody else counts.
void CatchUp(int64_t total, prometheus::Counter* counter);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_TELEMETRY_SERIES_H_
