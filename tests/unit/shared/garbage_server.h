// A server that takes whatever it is sent and answers what it was told to: not a Redis.
#ifndef SSMD_TESTS_UNIT_SHARED_GARBAGE_SERVER_H_
#define SSMD_TESTS_UNIT_SHARED_GARBAGE_SERVER_H_

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/descriptor.h"

namespace ssmd::test {

class GarbageServer {
 public:
  struct Manner {
    std::string reply = "";     // to everything that comes
    bool byte_by_byte = false;  // the reply
    bool closes = false;        // after it
    std::string then = "";      // again and again after it
  };
  explicit GarbageServer(Manner manner)
      : manner_(std::move(manner)), listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t length = sizeof(address);
    if (::bind(listening_.get(), generic, length) != 0 || ::listen(listening_.get(), 16) != 0 ||
        ::getsockname(listening_.get(), generic, &length) != 0) {
      std::abort();
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~GarbageServer() {
    stopping_ = true;
    thread_.join();
  }

  std::string Url(const std::string& host = "127.0.0.1") const {
    return absl::StrCat("redis://", host, ":", port_);
  }

 private:
  // False when it is over with this client.
  bool Answer(int client, bool readable) const {
    char ignored[65536];
    if (readable && ::recv(client, ignored, sizeof(ignored), MSG_DONTWAIT) <= 0) return false;
    if (readable) {
      const size_t piece = manner_.byte_by_byte ? 1 : std::max<size_t>(manner_.reply.size(), 1);
      for (size_t at = 0; at < manner_.reply.size(); at += piece) {
        const std::string bytes = manner_.reply.substr(at, piece);
        ::send(client, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      }
    }
    const std::string& then = manner_.then;
    if (!then.empty()) ::send(client, then.data(), then.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return !(readable && manner_.closes);
  }

  void Serve() {
    std::vector<Descriptor> clients;
    while (!stopping_) {
      std::vector<pollfd> polled = {{listening_.get(), POLLIN, 0}};
      for (const Descriptor& client : clients) polled.push_back({client.get(), POLLIN, 0});
      ::poll(polled.data(), polled.size(), /*ms=*/1);
      std::vector<Descriptor> staying;
      for (size_t i = 0; i < clients.size(); ++i) {
        if (Answer(clients[i].get(), polled[i + 1].revents != 0)) {
          staying.push_back(std::move(clients[i]));
        }
      }
      clients = std::move(staying);
      if (polled[0].revents != 0) {
        clients.emplace_back(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      }
    }
  }

  const Manner manner_;
  const Descriptor listening_;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace ssmd::test

#endif  // SSMD_TESTS_UNIT_SHARED_GARBAGE_SERVER_H_
