#include "engine/shared/redis_address.h"

#include <sys/un.h>

#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"

namespace ssmd {
namespace {

constexpr std::string_view kTcpScheme = "redis://";
constexpr std::string_view kTlsScheme = "rediss://";
constexpr std::string_view kUnixScheme = "unix://";
constexpr int kDatabaseMax = 65535;

absl::Status BadUrl(absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("the shared store's URL ", why,
                   "; it has the form redis://[user:password@]host[:port][/database] or "
                   "unix://[user:password@]/path"));
}

// `text` with each %XX as the byte that it stands for; nothing where a % is not such.
std::optional<std::string> Unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size() || !absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 1])) ||
        !absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 2]))) {
      return std::nullopt;
    }
    out += absl::HexStringToBytes(View(text.substr(i + 1, 2)));
    i += 2;
  }
  // The places that these go to end at a NUL.
  if (out.find('\0') != std::string::npos) return std::nullopt;
  return out;
}

// Takes "user:password@" off the front of `rest`.
absl::Status TakeCredentials(std::string_view* rest, RedisAddress* address) {
  const size_t at = rest->rfind('@');
  if (at == std::string_view::npos) return absl::OkStatus();
  const std::string_view credentials = rest->substr(0, at);
  const size_t colon = credentials.find(':');
  if (colon == std::string_view::npos) return BadUrl("has a user and no password");
  const auto user = Unescaped(credentials.substr(0, colon));
  const auto password = Unescaped(credentials.substr(colon + 1));
  if (!user.has_value() || !password.has_value()) {
    return BadUrl("has a user or a password with a % that is not %XX");
  }
  if (password->empty()) return BadUrl("has an empty password");
  address->user = *user;
  address->password = *password;
  rest->remove_prefix(at + 1);
  return absl::OkStatus();
}

absl::Status ReadUnix(std::string_view rest, RedisAddress* address) {
  SSMD_RETURN_IF_ERROR(TakeCredentials(&rest, address));
  const auto path = Unescaped(rest);
  if (!path.has_value() || path->empty() || path->front() != '/') {
    return BadUrl("names no absolute path of a socket");
  }
  if (path->size() >= sizeof(sockaddr_un::sun_path)) {
    return BadUrl(absl::StrCat("names a socket whose path is longer than ",
                               sizeof(sockaddr_un::sun_path) - 1, " bytes"));
  }
  address->socket_path = *path;
  return absl::OkStatus();
}

// "host", "host:port", "[v6]" or "[v6]:port".
absl::Status ReadHost(std::string_view text, RedisAddress* address) {
  std::string_view port;
  bool has_port = false;
  if (!text.empty() && text.front() == '[') {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return BadUrl("has a [ without ]");
    address->host = std::string(text.substr(1, end - 1));
    text.remove_prefix(end + 1);
    has_port = !text.empty();
    if (has_port && text.front() != ':') return BadUrl("has something between ] and the port");
    if (has_port) port = text.substr(1);
  } else {
    const size_t colon = text.find(':');
    has_port = colon != std::string_view::npos;
    address->host = std::string(text.substr(0, colon));
    if (has_port) port = text.substr(colon + 1);
  }
  if (address->host.empty()) return BadUrl("names no host");
  // Longer than any name may be (RFC 1035).
  if (address->host.size() > 255 || address->host.find('\0') != std::string::npos) {
    return BadUrl("names a host that cannot be");
  }
  if (has_port && (!absl::SimpleAtoi(View(port), &address->port) || address->port < 1 ||
                   address->port > 65535)) {
    return BadUrl("has a port that is not a number from 1 to 65535");
  }
  return absl::OkStatus();
}

absl::Status ReadTcp(std::string_view rest, RedisAddress* address) {
  SSMD_RETURN_IF_ERROR(TakeCredentials(&rest, address));
  const size_t slash = rest.find('/');
  if (slash != std::string_view::npos && slash + 1 < rest.size() &&
      (!absl::SimpleAtoi(View(rest.substr(slash + 1)), &address->database) ||
       address->database < 0 || address->database > kDatabaseMax)) {
    return BadUrl(absl::StrCat("has a database that is not a number from 0 to ", kDatabaseMax));
  }
  return ReadHost(rest.substr(0, slash), address);
}

}  // namespace

absl::StatusOr<RedisAddress> ParseRedisUrl(std::string_view url) {
  RedisAddress address;
  if (url.starts_with(kUnixScheme)) {
    SSMD_RETURN_IF_ERROR(ReadUnix(url.substr(kUnixScheme.size()), &address));
  } else if (url.starts_with(kTcpScheme)) {
    SSMD_RETURN_IF_ERROR(ReadTcp(url.substr(kTcpScheme.size()), &address));
  } else if (url.starts_with(kTlsScheme)) {
    return BadUrl(
        "asks for TLS, which is not spoken here: put a proxy beside this process that does "
        "(stunnel, Envoy) and name that");
  } else {
    return BadUrl("does not begin with redis:// or unix://");
  }
  return address;
}

}  // namespace ssmd
