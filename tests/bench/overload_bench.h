// What a daemon does with more work than it can do: first finds the load at which the most is done,
// then offers a multiple of that and compares.
//
// Calls arrive at random times (Poisson) whatever becomes of the earlier ones; each brings a prompt
// of its own and asks for the same number of tokens. The daemon computes with one thread; this
// program stays on one CPU of the others.
#ifndef SSMD_TESTS_BENCH_OVERLOAD_BENCH_H_
#define SSMD_TESTS_BENCH_OVERLOAD_BENCH_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "clients/bench/async_calls.h"
#include "clients/bench/metrics_text.h"
#include "tests/bench/server_under_test.h"

namespace ssmd::bench {

struct OverloadOptions {
  int running = 32;        // turns at once, and
  int waiting = 32;        // turns that may wait: the daemon's limits
  int prompt_tokens = 32;  // of each call
  int answer_tokens = 64;
  double factor = 4;     // overload, as a multiple of the peak's arrivals
  double warm_up_s = 2;  // of each measurement
  double seconds = 16;   // and its length
  int pairs = 3;         // measurements of peak and overload, in turn
};

// One measurement, or several of the same load together.
struct LoadFigures {
  double rate = 0;     // arrivals a second, as planned
  double seconds = 0;  // measured
  // The server's own: turns that were served to their end, and its histograms.
  double served = 0;
  MetricsHistogram inter_token;
  MetricsHistogram first_token;
  CallReport calls;  // as the clients saw it

  void Merge(const LoadFigures& other);
  double offered_rate() const { return static_cast<double>(calls.started) / seconds; }
};

struct OverloadFigures {
  std::vector<LoadFigures> ramp;
  LoadFigures peak;
  LoadFigures overload;
};

double TokensPerSecond(const OverloadOptions& options, const LoadFigures& figures);

// Starts `server`.
absl::StatusOr<OverloadFigures> MeasureOverload(const OverloadOptions& options,
                                                ServerUnderTest* server);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_OVERLOAD_BENCH_H_
