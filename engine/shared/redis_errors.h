// What a Redis says when it does not do what it was told, as a status that a person can act on.
// What it says is never repeated: it may hold addresses and names.
#ifndef SSMD_ENGINE_SHARED_REDIS_ERRORS_H_
#define SSMD_ENGINE_SHARED_REDIS_ERRORS_H_

#include <string_view>

#include "absl/status/status.h"

namespace ssmd {

// UNAVAILABLE: the shared store (Redis) `what`.
absl::Status RedisUnavailable(std::string_view what);

struct RedisError {
  absl::Status status;
  // The server would say the same to any other command, so that asking it at once is of no use.
  bool of_server = false;
};
// Of an error reply's text.
RedisError UnderstandRedisError(std::string_view text);

}  // namespace ssmd

#endif  // SSMD_ENGINE_SHARED_REDIS_ERRORS_H_
