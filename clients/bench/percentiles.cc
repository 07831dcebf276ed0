#include "clients/bench/percentiles.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ssmd::bench {

Percentiles PercentilesOf(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const auto count = static_cast<double>(values.size());
  const auto rank = [&](int percent) {
    const auto nearest = static_cast<size_t>(std::ceil(percent * count / 100));
    return values[std::max<size_t>(nearest, 1) - 1];
  };
  return {std::accumulate(values.begin(), values.end(), 0.0) / count,
          rank(50),
          rank(90),
          rank(95),
          rank(99),
          values.back()};
}

}  // namespace ssmd::bench
