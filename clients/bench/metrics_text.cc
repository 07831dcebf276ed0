#include "clients/bench/metrics_text.h"

#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>

namespace ssmd::bench {
namespace {

double NumberOf(std::string_view text) { return std::strtod(std::string(text).c_str(), nullptr); }

// Calls `visit(labels, value)` for each sample of that name.
void ForEachSample(std::string_view metrics, std::string_view name,
                   const std::function<void(std::string_view, double)>& visit) {
  while (!metrics.empty()) {
    const std::string_view line = metrics.substr(0, metrics.find('\n'));
    metrics.remove_prefix(std::min(line.size() + 1, metrics.size()));
    const size_t name_end = line.find_first_of("{ ");
    const size_t value = line.rfind(' ');
    if (value == std::string_view::npos || line.substr(0, name_end) != name) continue;
    visit(line.substr(name_end, value - name_end), NumberOf(line.substr(value + 1)));
  }
}

}  // namespace

MetricsHistogram MetricsHistogram::Since(const MetricsHistogram& earlier) const {
  MetricsHistogram difference = *this;
  for (const auto& [bound, count] : earlier.counts_) difference.counts_[bound] -= count;
  return difference;
}

void MetricsHistogram::Merge(const MetricsHistogram& other) {
  for (const auto& [bound, count] : other.counts_) counts_[bound] += count;
}

double MetricsHistogram::Quantile(double share) const {
  const double rank = share * count();
  double low = 0;
  double below = 0;
  for (const auto& [bound, up_to] : counts_) {
    if (up_to >= rank && up_to > below) {
      return std::isinf(bound) ? low : low + (bound - low) * (rank - below) / (up_to - below);
    }
    low = bound;
    below = up_to;
  }
  return 0;
}

double MetricsSum(std::string_view metrics, std::string_view name, std::string_view label) {
  double sum = 0;
  ForEachSample(metrics, name, [&](std::string_view labels, double value) {
    if (labels.find(label) != std::string_view::npos) sum += value;
  });
  return sum;
}

MetricsHistogram MetricsHistogramOf(std::string_view metrics, std::string_view name) {
  constexpr std::string_view kBound = "le=\"";
  MetricsHistogram histogram;
  ForEachSample(metrics, std::string(name) + "_bucket", [&](std::string_view labels, double value) {
    const size_t begin = labels.find(kBound);
    if (begin == std::string_view::npos) return;
    const std::string_view bound = labels.substr(begin + kBound.size());
    histogram.Add(bound.substr(0, 4) == "+Inf" ? std::numeric_limits<double>::infinity()
                                               : NumberOf(bound.substr(0, bound.find('"'))),
                  value);
  });
  return histogram;
}

}  // namespace ssmd::bench
