// Where a Redis is, and as whom to speak to it.
#ifndef SSMD_ENGINE_SHARED_REDIS_ADDRESS_H_
#define SSMD_ENGINE_SHARED_REDIS_ADDRESS_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace ssmd {

struct RedisAddress {
  std::string host;  // a name, an IPv4 or an IPv6 address
  int port = 6379;
  std::string socket_path;  // of a Unix socket, in place of host and port
  std::string user;         // empty: Redis's default user
  std::string password;     // empty: none is sent
  int database = 0;
};

// redis://[[user]:password@]host[:port][/database] or unix://[[user]:password@]/path, where user,
// password and path may have %XX. An error repeats nothing of the URL, which may hold a password.
absl::StatusOr<RedisAddress> ParseRedisUrl(std::string_view url);

}  // namespace ssmd

#endif  // SSMD_ENGINE_SHARED_REDIS_ADDRESS_H_
