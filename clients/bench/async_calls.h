// Many Generate calls at once, without a thread for each: gRPC's callbacks take in what comes. For
// loads that have to be light on the machine that they share with the server.
//
// Thread-safe. The calls go over a few plaintext connections in turn, as those of many clients
// would.
#ifndef SSMD_CLIENTS_BENCH_ASYNC_CALLS_H_
#define SSMD_CLIENTS_BENCH_ASYNC_CALLS_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ssmd/v1/generation.grpc.pb.h"

namespace ssmd::bench {

// What became of the calls that ended while it was collected. Times are in milliseconds, from the
// start of the call.
struct CallReport {
  int64_t started = 0;
  int64_t succeeded = 0;
  int64_t tokens = 0;                     // of those that succeeded
  std::map<std::string, int64_t> errors;  // by code
  std::vector<double> first_token_ms;     // of those that succeeded
  std::vector<double> inter_token_ms;     // and between the messages that brought their tokens
  std::vector<double> refused_ms;         // until RESOURCE_EXHAUSTED
};

class AsyncCalls {
 public:
  AsyncCalls(const std::string& server, int connections);
  // Waits for every call.
  ~AsyncCalls();
  AsyncCalls(const AsyncCalls&) = delete;
  AsyncCalls& operator=(const AsyncCalls&) = delete;

  void Start(const v1::GenerateRequest& request);
  // Called after each call's end, on a thread of gRPC's; it may start another. Set it while no call
  // is under way.
  void SetOnEnd(std::function<void()> on_end) { on_end_ = std::move(on_end); }
  void WaitForAll();
  // What came since the last time.
  CallReport TakeReport();

 private:
  class Call;
  void NoteEnd(const Call& call);
  void NoteGone();

  std::vector<std::unique_ptr<v1::GenerationService::Stub>> stubs_;
  std::function<void()> on_end_;
  std::mutex mutex_;
  std::condition_variable ended_;
  // Guarded by mutex_:
  CallReport report_;
  int64_t under_way_ = 0;
  size_t next_stub_ = 0;
};

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_ASYNC_CALLS_H_
