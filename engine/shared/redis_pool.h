// Connections to one Redis, lent for a command each, and what is known of its health: a command
// fails within the timeout, and those after it at once until the server is tried again.
//
// Thread-safe.
#ifndef SSMD_ENGINE_SHARED_REDIS_POOL_H_
#define SSMD_ENGINE_SHARED_REDIS_POOL_H_

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "engine/shared/circuit_breaker.h"
#include "engine/shared/redis_client.h"
#include "engine/shared/redis_scripts.h"
#include "engine/shared/shared_store.h"

namespace ssmd {

class RedisPool {
 public:
  struct Options {
    RedisAddress address;
    Duration timeout{};
    Duration retry_after{};
    int connections = 1;
    double bytes_per_second_min = 0;
  };
  explicit RedisPool(const Options& options);

  // Of a command: what it may answer. Another answer is UNAVAILABLE, as is an error.
  struct Answer {
    bool (*fits)(const RedisReply&);
    int64_t bytes_max;
  };
  // By when a call that begins now has to end.
  TimePoint Deadline() const { return clock_.Now() + options_.timeout; }
  absl::StatusOr<RedisReply> Call(absl::Span<const std::string_view> command, const Answer& answer,
                                  TimePoint deadline);
  // What came of a script: at least one string, of which the first is its verdict.
  absl::StatusOr<std::vector<RedisReply>> Run(const RedisScript& script,
                                              absl::Span<const std::string_view> keys,
                                              absl::Span<const std::string_view> arguments,
                                              TimePoint deadline);
  // On a connection of its own, that no other call needs; may take `patience` longer.
  absl::StatusOr<RedisReply> CallPatiently(absl::Span<const std::string_view> command,
                                           Duration patience, const Answer& answer);

  SharedStoreFigures figures() const;

 private:
  // A client that nobody else uses until it is given back.
  absl::StatusOr<std::unique_ptr<RedisClient>> Take(const CircuitBreaker::Pass& pass,
                                                    TimePoint deadline);
  void GiveBack(std::unique_ptr<RedisClient> client);
  // Calls `exchange` with a client of the pool.
  template <typename Exchange>
  absl::StatusOr<RedisReply> WithClient(const Answer& answer, TimePoint deadline,
                                        const Exchange& exchange);
  // What a reply means, for the caller and for those after it.
  absl::StatusOr<RedisReply> Judge(absl::StatusOr<RedisReply> reply, const Answer& answer,
                                   const CircuitBreaker::Pass& pass, RedisClient* client);

  const Options options_;
  RedisServer server_;
  const SteadyClock clock_;
  CircuitBreaker breaker_;

  Mutex mutex_;
  CondVar returned_;
  std::vector<std::unique_ptr<RedisClient>> idle_ ABSL_GUARDED_BY(mutex_);

  Mutex patient_mutex_;
  RedisClient patient_ ABSL_GUARDED_BY(patient_mutex_);

  std::atomic<int64_t> calls_{0};
  std::atomic<int64_t> failures_{0};
  std::atomic<bool> reachable_{false};
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SHARED_REDIS_POOL_H_
