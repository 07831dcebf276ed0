// See series.h.
#include "server/telemetry/series.h"

namespace ssmd::server {

prometheus::Counter* Counter(prometheus::Registry* registry, const char* name, const char* help,
                             const Labels& labels) {
  return &prometheus::BuildCounter().Name(name).Help(help).Register(*registry).Add(labels);
}
prometheus::Gauge* Gauge(prometheus::Registry* registry, const char* name, const char* help,
                         const Labels& labels) {
  return &prometheus::BuildGauge().Name(name).Help(help).Register(*registry).Add(labels);
}
prometheus::Histogram* Histogram(prometheus::Registry* registry, const char* name, const char* help,
                                 const Labels& labels, const Buckets& buckets) {
  return &prometheus::BuildHistogram().Name(name).Help(help).Register(*registry).Add(labels,
                                                                                     buckets);
}

Labels With(Labels labels, const char* key, const std::string& value) {
  labels.emplace(key, value);
  return labels;
}

void CatchUp(int64_t total, prometheus::Counter* counter) {
  const double behind = static_cast<double>(total) - counter->Value();
  if (behind > 0) counter->Increment(behind);
}

}  // namespace ssmd::server
