// One connection to a Redis, made at the first command and again after a failure. Each command has
// a deadline, which holds for all of it: looking up the name, connecting, logging in, writing and
// reading. hiredis reads the protocol; its blocking calls limit each read and each write alone, and
// a lookup not at all, so that the socket is ours.
//
// One caller at a time.
#ifndef SSMD_ENGINE_SHARED_REDIS_CLIENT_H_
#define SSMD_ENGINE_SHARED_REDIS_CLIENT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/clock.h"
#include "engine/base/descriptor.h"
#include "engine/shared/host_lookup.h"
#include "engine/shared/redis_address.h"
#include "engine/shared/redis_reply.h"

namespace ssmd {

// A server to connect to; shared by its clients, and must outlive them.
struct RedisServer {
  RedisServer(RedisAddress where, double rate)
      : address(std::move(where)), bytes_per_second_min(rate), lookup(address.host, address.port) {}

  const RedisAddress address;
  // A deadline moves on by a second for so many bytes that were written or read: what is large may
  // take longer, a server that has stopped may not. 0: it stays.
  const double bytes_per_second_min;
  HostLookup lookup;
  std::atomic<int64_t> bytes_written{0};
  std::atomic<int64_t> bytes_read{0};
};

class RedisClient {
 public:
  explicit RedisClient(RedisServer* server) : server_(server), socket_(-1) {}

  // What the server answers, errors included, in at most `reply_bytes_max`. UNAVAILABLE when it
  // cannot be reached, does not answer in time, or answers what is no reply: the connection is
  // closed then, and whether the command had its effect is not known.
  absl::StatusOr<RedisReply> Call(absl::Span<const std::string_view> arguments, TimePoint deadline,
                                  int64_t reply_bytes_max);
  // What was written and not sent yet never is.
  void Close();

 private:
  struct Progress;

  absl::Status Connect(Progress* progress);
  absl::Status ConnectTo(const SocketAddress& address, TimePoint deadline);
  absl::Status ConnectUnix();
  absl::Status LogIn(Progress* progress);
  absl::Status LogInWith(absl::Span<const std::string_view> command, Progress* progress);
  bool IsFresh() const;
  absl::StatusOr<RedisReply> Exchange(absl::Span<const std::string_view> arguments,
                                      Progress* progress, int64_t reply_bytes_max);
  absl::Status Send(std::string_view bytes, Progress* progress);
  absl::StatusOr<RedisReply> Receive(Progress* progress, int64_t reply_bytes_max);

  RedisServer* const server_;
  Descriptor socket_;
  std::unique_ptr<RedisReplyReader> reader_;  // of this connection
  std::string buffer_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SHARED_REDIS_CLIENT_H_
