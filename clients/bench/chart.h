// A picture of what a load has shown, as SVG on a light ground: how many requests were how fast
// (cumulative shares over a logarithmic axis of time), and the first token by turn where
// conversations had more than one. The same figures give the same bytes.
#ifndef SSMD_CLIENTS_BENCH_CHART_H_
#define SSMD_CLIENTS_BENCH_CHART_H_

#include <string>
#include <vector>

#include "clients/bench/load.h"

namespace ssmd::bench {

struct ChartSeries {
  std::string label;
  LoadReport load;
};

// Of one or two servers.
std::string ChartSvg(const std::string& title, const std::vector<ChartSeries>& series);

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_CHART_H_
