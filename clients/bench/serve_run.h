// `ssmd-bench serve` without its command line: reaches the servers, loads them in turn, and says
// what they did.
#ifndef SSMD_CLIENTS_BENCH_SERVE_RUN_H_
#define SSMD_CLIENTS_BENCH_SERVE_RUN_H_

#include <optional>
#include <string>
#include <vector>

#include "clients/bench/endpoint.h"
#include "clients/bench/http_endpoint.h"
#include "clients/bench/load.h"
#include "clients/bench/report.h"
#include "clients/bench/workload.h"
#include "clients/cpp/channel.h"
#include "clients/cpp/error.h"

namespace ssmd::bench {

struct ServerOptions {
  client::ConnectOptions connect;  // `server` may be an http:// address, with the token alone
  std::string model;               // empty: the one that it serves
  // Over HTTP: where there is no token file, the variable SSMD_TOKEN is for this server.
  bool token_of_environment = true;
};

struct ServeOptions {
  std::vector<ServerOptions> servers;  // one, or two that take turns
  int rounds = 1;                      // of each
  AskOptions ask;                      // but for the model
  std::optional<History> history;  // over HTTP; absent: sessions of an ssmd, otherwise all again
  WorkloadOptions workload;        // but for how prompts are written
  LoadOptions load;
  bool progress = false;  // on standard error, a line that is written over
};

// Blocks until the load is over. The first SIGINT ends it early, with what there is by then. What
// keeps it from starting is an error for people.
client::Result<std::vector<ServerReport>> RunServe(const ServeOptions& options);

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_SERVE_RUN_H_
