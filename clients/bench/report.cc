#include "clients/bench/report.h"

#include <algorithm>

namespace ssmd::bench {

LoadReport ServerReport::Total() const {
  LoadReport total;
  for (const LoadReport& round : rounds) total.Merge(round);
  return total;
}

const std::vector<Figure>& Figures() {
  static const auto* const kFigures = new std::vector<Figure>{
      {"requests_per_s", "requests a second", &LoadReport::requests_per_s},
      {"tokens_per_s", "tokens a second", &LoadReport::tokens_per_s},
      {"first_token_ms_p50", "first token, p50, ms",
       [](const LoadReport& load) { return load.first_token_ms.Summary().p50; }},
      {"first_token_ms_p99", "first token, p99, ms",
       [](const LoadReport& load) { return load.first_token_ms.Summary().p99; }},
      {"inter_token_ms_p50", "inter-token, p50, ms",
       [](const LoadReport& load) { return load.inter_token_ms.Summary().p50; }},
      {"inter_token_ms_p99", "inter-token, p99, ms",
       [](const LoadReport& load) { return load.inter_token_ms.Summary().p99; }},
      {"total_ms_p50", "whole request, p50, ms",
       [](const LoadReport& load) { return load.total_ms.Summary().p50; }},
      {"total_ms_p99", "whole request, p99, ms",
       [](const LoadReport& load) { return load.total_ms.Summary().p99; }},
  };
  return *kFigures;
}

Ratio RatioOf(const Figure& figure, const ServerReport& first, const ServerReport& second) {
  std::vector<double> ratios;
  for (size_t i = 0; i < std::min(first.rounds.size(), second.rounds.size()); ++i) {
    const double above = figure.value(first.rounds[i]);
    const double below = figure.value(second.rounds[i]);
    if (above > 0 && below > 0) ratios.push_back(above / below);
  }
  if (ratios.empty()) return {};
  std::sort(ratios.begin(), ratios.end());
  const size_t middle = ratios.size() / 2;
  const double median =
      ratios.size() % 2 == 1 ? ratios[middle] : (ratios[middle - 1] + ratios[middle]) / 2;
  return {median, ratios.front(), ratios.back(), static_cast<int>(ratios.size())};
}

}  // namespace ssmd::bench
