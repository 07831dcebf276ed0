// The addresses of a host's name, within a deadline: the system's own lookup has none, and takes
// many seconds where name servers are gone. It runs on a thread of its own; who cannot wait for it
// takes what it found last.
//
// Thread-safe.
#ifndef SSMD_ENGINE_SHARED_HOST_LOOKUP_H_
#define SSMD_ENGINE_SHARED_HOST_LOOKUP_H_

#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/clock.h"

namespace ssmd {

struct SocketAddress {
  sockaddr_storage bytes{};
  socklen_t length = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&bytes); }
};

class HostLookup {
 public:
  // Empty when there are none.
  using Resolve =
      std::function<std::vector<SocketAddress>(const std::string& host, int port, bool numeric)>;

  HostLookup(std::string host, int port) : HostLookup(std::move(host), port, SystemResolve) {}
  // With another lookup than the system's.
  HostLookup(std::string host, int port, Resolve resolve);

  // At least one, or UNAVAILABLE. A name is looked up anew each time; an address is none.
  absl::StatusOr<std::vector<SocketAddress>> Get(TimePoint deadline);

 private:
  struct State;

  static std::vector<SocketAddress> SystemResolve(const std::string& host, int port, bool numeric);

  // Shared with the thread that looks up: a lookup cannot be ended, and may outlive this.
  std::shared_ptr<State> state_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SHARED_HOST_LOOKUP_H_
