// What serving costs: the same steps by the engine alone and by a daemon whose clients read their
// tokens as streams of gRPC, in turn.
//
// Every stream has a prompt of one token, so that all that is computed is steps of all streams: as
// many as tokens are asked for. Daemon, clients and the engine by itself have the same CPUs.
#ifndef SSMD_TESTS_BENCH_OVERHEAD_BENCH_H_
#define SSMD_TESTS_BENCH_OVERHEAD_BENCH_H_

#include <vector>

#include "absl/status/statusor.h"
#include "tests/bench/server_under_test.h"

namespace ssmd::bench {

struct OverheadOptions {
  int streams = 16;
  int generate = 64;
  int rounds = 5;
};

// Rates are of all streams together; CPU is microseconds for a token, of all threads.
struct OverheadRound {
  double engine_tok_s = 0;
  double daemon_tok_s = 0;
  double engine_cpu_us = 0;
  double daemon_cpu_us = 0;
  double clients_cpu_us = 0;
  double ratio = 0;  // of the two rates
};

// Starts `server`, which serves a model by `flags`. REQUIRES: server->is_ours().
absl::StatusOr<std::vector<OverheadRound>> MeasureOverhead(const OverheadOptions& options,
                                                           const ServerFlags& flags,
                                                           ServerUnderTest* server);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_OVERHEAD_BENCH_H_
