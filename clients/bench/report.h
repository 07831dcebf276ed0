// What a load has shown, for people and for machines: of one server, or of two beside each other.
// Pure functions over what was measured.
#ifndef SSMD_CLIENTS_BENCH_REPORT_H_
#define SSMD_CLIENTS_BENCH_REPORT_H_

#include <functional>
#include <string>
#include <vector>

#include "clients/bench/load.h"

namespace ssmd::bench {

struct ServerReport {
  std::string server;              // as it was given
  std::string protocol;            // "grpc" or "http"
  std::string history;             // of later turns: "session", "parent" or "resend"
  std::vector<LoadReport> rounds;  // at least one

  LoadReport Total() const;
};

// A figure by which two servers are compared.
struct Figure {
  const char* name;   // in JSON
  const char* label;  // for people
  std::function<double(const LoadReport&)> value;
};
const std::vector<Figure>& Figures();

// The first server's figure by the second's: of each pair of rounds, and the median of those.
struct Ratio {
  double median = 0;
  double min = 0;
  double max = 0;
  int rounds = 0;  // in which both had a figure; 0: all else means nothing
};
Ratio RatioOf(const Figure& figure, const ServerReport& first, const ServerReport& second);

// `servers` are one, or the two to compare.
std::string ReportJson(const LoadOptions& options, const std::vector<ServerReport>& servers);
std::string ReportText(const LoadOptions& options, const std::vector<ServerReport>& servers);

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_REPORT_H_
