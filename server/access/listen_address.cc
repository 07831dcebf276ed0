// See listen_address.h.
#include "server/access/listen_address.h"

#include <arpa/inet.h>

#include <cstring>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace ssmd::server {
namespace {

std::optional<in_addr> ParseIpv4(std::string_view host) {
  in_addr address{};
  if (inet_pton(AF_INET, std::string(host).c_str(), &address) != 1) return std::nullopt;
  return address;
}

std::optional<in6_addr> ParseIpv6(std::string_view host) {
  in6_addr address{};
  if (inet_pton(AF_INET6, std::string(host).c_str(), &address) != 1) return std::nullopt;
  return address;
}

bool IsHostName(std::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  for (const char c : host) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '.') return false;
  }
  return true;
}

std::string Join(const std::string& host, uint16_t port) {
  return ParseIpv6(host).has_value() ? absl::StrCat("[", host, "]:", port)
                                     : absl::StrCat(host, ":", port);
}

}  // namespace

std::string ListenAddress::ToString() const { return Join(host, port); }

std::string ListenAddress::ToReachable() const {
  if (host == "0.0.0.0") return Join("127.0.0.1", port);
  if (host == "::") return Join("::1", port);
  return ToString();
}

absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text) {
  const auto error = [text] {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", std::string(text),
                     "\" is not HOST:PORT, such as 127.0.0.1:50051, localhost:0 or [::1]:50051"));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return error();
  std::string_view host = text.substr(0, colon);
  const std::string port_text(text.substr(colon + 1));
  uint32_t port = 0;
  if (port_text.empty() || port_text.find_first_not_of("0123456789") != std::string::npos ||
      !absl::SimpleAtoi(port_text, &port) || port > 65535) {
    return error();
  }
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) {
    host = host.substr(1, host.size() - 2);
    if (!ParseIpv6(host).has_value()) return error();
  } else if (!ParseIpv4(host).has_value() && !IsHostName(host)) {
    return error();
  }
  return ListenAddress{std::string(host), static_cast<uint16_t>(port)};
}

bool IsLoopbackHost(std::string_view host) {
  if (host == "localhost") return true;
  if (const auto ipv4 = ParseIpv4(host)) return (ntohl(ipv4->s_addr) >> 24) == 127;
  const auto ipv6 = ParseIpv6(host);
  if (!ipv6.has_value()) return false;
  if (IN6_IS_ADDR_V4MAPPED(&*ipv6)) return ipv6->s6_addr[12] == 127;
  return IN6_IS_ADDR_LOOPBACK(&*ipv6);
}

bool IsIpLiteral(std::string_view host) {
  return ParseIpv4(host).has_value() || ParseIpv6(host).has_value();
}

bool IsLoopbackPeer(std::string_view peer) {
  const size_t scheme = peer.find(':');
  const size_t port = peer.rfind(':');
  if (scheme == std::string_view::npos || port <= scheme) return false;
  const std::string_view family = peer.substr(0, scheme);
  if (family != "ipv4" && family != "ipv6") return false;
  std::string host = absl::StrReplaceAll(
      absl::string_view(peer.data() + scheme + 1, port - scheme - 1),
      {{"%5B", ""}, {"%5D", ""}, {"%5b", ""}, {"%5d", ""}, {"[", ""}, {"]", ""}});
  return IsLoopbackHost(host);
}

}  // namespace ssmd::server
