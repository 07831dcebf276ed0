// The server's metrics, as /metrics has them (Prometheus' text format): sums of counters and
// gauges, and histograms with their quantiles.
#ifndef SSMD_CLIENTS_BENCH_METRICS_TEXT_H_
#define SSMD_CLIENTS_BENCH_METRICS_TEXT_H_

#include <map>
#include <string>
#include <string_view>

namespace ssmd::bench {

class MetricsHistogram {
 public:
  // Values up to and including each upper bound; infinity is that of all.
  void Add(double bound, double count) { counts_[bound] += count; }
  double count() const { return counts_.empty() ? 0 : counts_.rbegin()->second; }
  // Those since `earlier`, of the same series.
  MetricsHistogram Since(const MetricsHistogram& earlier) const;
  void Merge(const MetricsHistogram& other);
  // As Prometheus' histogram_quantile has it: even within a bucket. `share` is in (0, 1]. 0 where
  // there are no values; the highest finite bound where it is past that.
  double Quantile(double share) const;

 private:
  std::map<double, double> counts_;  // cumulative
};

// The sum of the samples of `name` whose labels hold `label`, as it is written there (`a="b"`).
double MetricsSum(std::string_view metrics, std::string_view name, std::string_view label = {});
// All series of that name together.
MetricsHistogram MetricsHistogramOf(std::string_view metrics, std::string_view name);

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_METRICS_TEXT_H_
