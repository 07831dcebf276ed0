// The SharedStore in a Redis (README.md has the data model). One Redis of version 7.0 or newer, or
// whatever speaks for one behind one address; no Redis Cluster, no TLS.
#ifndef SSMD_ENGINE_SHARED_REDIS_STORE_H_
#define SSMD_ENGINE_SHARED_REDIS_STORE_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/base/clock.h"
#include "engine/shared/shared_store.h"

namespace ssmd {

struct RedisOptions {
  std::string url;               // as ParseRedisUrl reads it
  std::string prefix = "ssmd:";  // of every key
  // A call takes so long at most, and a second more for every `bytes_per_second_min` that it moves:
  // what is large may take longer, a server that has stopped may not.
  Duration timeout = std::chrono::milliseconds(80);
  double bytes_per_second_min = 20e6;
  int connections = 4;  // and one that waits for wishes
  // For so long after a failure calls fail at once, then one tries again.
  Duration retry_after = std::chrono::milliseconds(200);
  int64_t tenant_bytes = 0;  // of all sessions of a tenant; 0: no limit. The same in all replicas
  int64_t reply_bytes_max = int64_t{256} << 20;  // and so of one session
};

// Does not connect: a store that is down now may be up later. INVALID_ARGUMENT says which option.
absl::StatusOr<std::unique_ptr<SharedStore>> OpenRedisStore(const RedisOptions& options);

}  // namespace ssmd

#endif  // SSMD_ENGINE_SHARED_REDIS_STORE_H_
