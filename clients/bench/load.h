// Load on a daemon: N clients that each wait for their answer before they ask again (closed loop),
// or arrivals at a fixed rate whatever the answers do (open loop), with what the clients saw.
//
// In an open loop a request's times count from when it was due, not from when a client was free to
// send it, so that a slow server cannot hide by slowing its clients.
#ifndef SSMD_CLIENTS_BENCH_LOAD_H_
#define SSMD_CLIENTS_BENCH_LOAD_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "clients/cpp/client.h"

namespace ssmd::bench {

struct LoadOptions {
  int streams = 1;  // clients; in an open loop, the most requests in flight
  double rate = 0;  // arrivals a second; 0: closed loop
  std::chrono::seconds duration{10};
  int64_t requests = 0;         // stop after so many; 0: by duration alone
  v1::GenerateRequest request;  // what each asks; its seed, where set, is raised for each
  client::CallOptions call;
};

// What the clients saw. Times are in milliseconds.
struct LoadReport {
  double seconds = 0;
  int64_t succeeded = 0;
  std::map<std::string, int64_t> errors;  // by code
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
  std::vector<double> first_token_ms;
  std::vector<double> inter_token_ms;  // between the messages that brought tokens, by token
  std::vector<double> total_ms;

  void Merge(const LoadReport& other);
};

LoadReport RunLoad(client::Client* client, const LoadOptions& options);

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_LOAD_H_
