// A session as Redis keeps it: one hash, whose fields are read as if anybody could have written
// them.
#ifndef SSMD_ENGINE_SHARED_REDIS_SESSION_H_
#define SSMD_ENGINE_SHARED_REDIS_SESSION_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/shared/redis_reply.h"
#include "engine/shared/shared_store.h"

namespace ssmd {

struct RedisSession {
  std::string owner;  // empty: nobody
  bool deleted = false;
  SharedSession session;  // nothing where it is deleted
};

// Of what HGETALL answers, which is an even number of strings and not none. DATA_LOSS when it is no
// session.
absl::StatusOr<RedisSession> DecodeRedisSession(RedisReply fields);

// The value of a state's field.
std::string EncodeRedisState(int64_t position, std::string_view snapshot);

}  // namespace ssmd

#endif  // SSMD_ENGINE_SHARED_REDIS_SESSION_H_
