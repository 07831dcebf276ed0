// A session as Redis keeps it: one hash, whose fields are read as if anybody could have written
// them.
#ifndef SSMD_ENGINE_SHARED_REDIS_SESSION_H_
#define SSMD_ENGINE_SHARED_REDIS_SESSION_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/shared/redis_reply.h"
#include "engine/shared/shared_store.h"

namespace ssmd {

// A state that lies in a key of its own, whose name ends with `token`.
struct RedisStateApart {
  std::string name;
  std::string token;
  int64_t length = 0;  // of what is there: what the field would have
};

struct RedisSession {
  std::string owner;  // empty: nobody
  bool deleted = false;
  SharedSession session;  // nothing where it is deleted; its states: those that are in it
  std::vector<RedisStateApart> apart;
};

// Of what HGETALL answers, which is an even number of strings and not none. DATA_LOSS when it is no
// session.
absl::StatusOr<RedisSession> DecodeRedisSession(RedisReply fields);

// DATA_LOSS when it is no state.
absl::StatusOr<SharedState> DecodeRedisState(std::string_view name, std::string_view value);
// The value of a state's field, or key.
std::string EncodeRedisState(int64_t position, std::string_view snapshot);

}  // namespace ssmd

#endif  // SSMD_ENGINE_SHARED_REDIS_SESSION_H_
