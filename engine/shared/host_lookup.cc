#include "engine/shared/host_lookup.h"

#include <netdb.h>

#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/mutex.h"
#include "engine/shared/redis_errors.h"

namespace ssmd {

struct HostLookup::State {
  std::string host;
  int port = 0;
  Resolve resolve;

  Mutex mutex;
  CondVar done;
  bool running ABSL_GUARDED_BY(mutex) = false;
  uint64_t rounds ABSL_GUARDED_BY(mutex) = 0;  // that have ended
  std::vector<SocketAddress> found ABSL_GUARDED_BY(mutex);
  bool last_found ABSL_GUARDED_BY(mutex) = false;

  void Run() {
    std::vector<SocketAddress> addresses = resolve(host, port, /*numeric=*/false);
    const MutexLock lock(&mutex);
    last_found = !addresses.empty();
    if (last_found) found = std::move(addresses);
    ++rounds;
    running = false;
    done.NotifyAll();
  }
};

HostLookup::HostLookup(std::string host, int port, Resolve resolve)
    : state_(std::make_shared<State>()) {
  state_->host = std::move(host);
  state_->port = port;
  state_->resolve = std::move(resolve);
}

absl::StatusOr<std::vector<SocketAddress>> HostLookup::Get(TimePoint deadline) {
  std::vector<SocketAddress> numeric =
      state_->resolve(state_->host, state_->port, /*numeric=*/true);
  if (!numeric.empty()) return numeric;

  const MutexLock lock(&state_->mutex);
  if (!state_->running) {
    try {
      std::thread([state = state_] { state->Run(); }).detach();
    } catch (const std::system_error&) {
      return RedisUnavailable("cannot be looked up: the system gives no more threads");
    }
    state_->running = true;
  }
  const uint64_t before = state_->rounds;
  bool in_time = true;
  while (state_->rounds == before && in_time) {
    in_time = state_->done.WaitUntil(&state_->mutex, deadline);
  }
  const bool answered = state_->rounds != before;
  if (answered && !state_->last_found) {
    return RedisUnavailable(
        "has a host name that is not known: check the URL and the name servers");
  }
  if (state_->found.empty()) {
    return RedisUnavailable(
        "has a host name that was not resolved in time: check the name servers");
  }
  return state_->found;
}

std::vector<SocketAddress> HostLookup::SystemResolve(const std::string& host, int port,
                                                     bool numeric) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (numeric ? AI_NUMERICHOST : AI_ADDRCONFIG);
  addrinfo* list = nullptr;
  std::vector<SocketAddress> addresses;
  if (::getaddrinfo(host.c_str(), absl::StrCat(port).c_str(), &hints, &list) != 0) return addresses;
  constexpr size_t kAddressesMax = 8;
  for (const addrinfo* entry = list; entry != nullptr && addresses.size() < kAddressesMax;
       entry = entry->ai_next) {
    if (entry->ai_addrlen > sizeof(sockaddr_storage)) continue;
    SocketAddress address;
    std::memcpy(&address.bytes, entry->ai_addr, entry->ai_addrlen);
    address.length = entry->ai_addrlen;
    addresses.push_back(address);
  }
  ::freeaddrinfo(list);
  return addresses;
}

}  // namespace ssmd
