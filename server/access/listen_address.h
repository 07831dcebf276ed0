// HOST:PORT as people write it on the command line, and which of them stay on this machine.
#ifndef SSMD_SERVER_ACCESS_LISTEN_ADDRESS_H_
#define SSMD_SERVER_ACCESS_LISTEN_ADDRESS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace ssmd::server {

struct ListenAddress {
  std::string host;   // a name, an IPv4 address, or an IPv6 address without brackets
  uint16_t port = 0;  // 0: the system picks one

  // "127.0.0.1:50051", "[::1]:50051".
  std::string ToString() const;
  // How a client on this machine reaches it: a wildcard address becomes loopback.
  std::string ToReachable() const;
};

// INVALID_ARGUMENT unless it is NAME:PORT, IPv4:PORT or [IPv6]:PORT.
absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text);

// 127.0.0.0/8, ::1 (also mapped into IPv6) and "localhost".
bool IsLoopbackHost(std::string_view host);
// True for a literal IPv4 or IPv6 address (without brackets).
bool IsIpLiteral(std::string_view host);
// Of what gRPC calls a peer: "ipv4:127.0.0.1:4711", "ipv6:%5B::1%5D:4711".
bool IsLoopbackPeer(std::string_view peer);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_ACCESS_LISTEN_ADDRESS_H_
