#include "clients/ssmctl/latency.h"

#include <vector>

namespace ssmd::ctl {
namespace {

// Counts of what is new, cumulative; empty when that makes no sense.
std::vector<uint64_t> Difference(const v1::Latency& now, const v1::Latency& before) {
  if (now.counts_size() != now.bounds_ms_size() + 1 || now.bounds_ms().empty()) return {};
  const bool first = before.counts().empty();
  if (!first && before.counts_size() != now.counts_size()) return {};
  std::vector<uint64_t> counts;
  for (int i = 0; i < now.counts_size(); ++i) {
    const uint64_t old = first ? 0 : before.counts(i);
    if (old > now.counts(i)) return {};  // the server was restarted in between
    counts.push_back(now.counts(i) - old);
    if (i > 0 && counts.back() < counts[counts.size() - 2]) return {};
  }
  return counts;
}

double Quantile(const v1::Latency& bounds, const std::vector<uint64_t>& counts, double fraction) {
  const double rank = fraction * static_cast<double>(counts.back());
  for (int i = 0; i < bounds.bounds_ms_size(); ++i) {
    const auto at = static_cast<double>(counts[static_cast<size_t>(i)]);
    if (at < rank) continue;
    const double low = i == 0 ? 0 : bounds.bounds_ms(i - 1);
    const double below = i == 0 ? 0 : static_cast<double>(counts[static_cast<size_t>(i) - 1]);
    const double inside = at > below ? (rank - below) / (at - below) : 1;
    return low + (bounds.bounds_ms(i) - low) * inside;
  }
  return bounds.bounds_ms(bounds.bounds_ms_size() - 1);
}

}  // namespace

std::optional<Percentiles> PercentilesOf(const v1::Latency& now, const v1::Latency& before) {
  const std::vector<uint64_t> counts = Difference(now, before);
  if (counts.empty() || counts.back() == 0) return std::nullopt;
  return Percentiles{counts.back(), Quantile(now, counts, 0.5), Quantile(now, counts, 0.95),
                     Quantile(now, counts, 0.99)};
}

}  // namespace ssmd::ctl
