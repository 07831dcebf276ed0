#include "clients/cpp/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <cstdlib>
#include <fstream>
#include <optional>
#include <utility>

namespace ssmd::client {
namespace {

// Certificates and tokens are small; a larger file is a mistake.
constexpr size_t kFileBytesMax = size_t{1} << 20;
// Answers may be large (scores with alternatives), requests are limited by the server.
constexpr int kMessageBytesMax = 256 << 20;

Error Invalid(std::string message) {
  return {grpc::StatusCode::INVALID_ARGUMENT, std::move(message), "", std::nullopt};
}

Result<std::string> ReadSmallFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Invalid("cannot read " + path);
  std::string text(kFileBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kFileBytesMax) return Invalid(path + " is larger than 1 MiB");
  return text;
}

std::string Trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// A metadata value is printable ASCII; gRPC would abort the call with a less clear error.
bool IsPrintable(const std::string& token) {
  for (const char c : token) {
    if (c < 0x21 || c > 0x7e) return false;
  }
  return true;
}

Result<std::string> FindToken(const ConnectOptions& options) {
  std::string token;
  if (!options.token_file.empty()) {
    auto text = ReadSmallFile(options.token_file);
    if (!text.ok()) return text.error();
    token = Trimmed(text.value());
    if (token.empty()) return Invalid(options.token_file + " holds no token");
  } else if (const char* variable = std::getenv("SSMD_TOKEN")) {
    token = Trimmed(variable);
  }
  if (!IsPrintable(token))
    return Invalid("the bearer token holds characters other than printable ASCII");
  if (!token.empty() && !options.tls && !options.allow_plaintext_token &&
      !IsLoopback(options.server)) {
    return Invalid("not sending the bearer token in plaintext to " + options.server +
                   ": use TLS, or allow it explicitly");
  }
  return token;
}

// The part of `server` before its port; nullopt when there is no port.
std::optional<std::string_view> HostOf(std::string_view server) {
  const size_t colon = server.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == server.size()) {
    return std::nullopt;
  }
  const std::string_view port = server.substr(colon + 1);
  if (port.size() > 5 || port.find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  std::string_view host = server.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  return host;
}

bool IsUnixSocket(std::string_view server) { return server.substr(0, 5) == "unix:"; }

}  // namespace

bool IsLoopback(std::string_view server) {
  if (IsUnixSocket(server)) return true;
  const auto host = HostOf(server);
  if (!host.has_value()) return false;
  // "127." must begin a dotted quad, not a name like 127.example.com.
  const bool quad = host->find_first_not_of("0123456789.") == std::string_view::npos;
  return (quad && host->substr(0, 4) == "127.") || *host == "::1" || *host == "localhost";
}

Result<Connection> Connect(const ConnectOptions& options) {
  if (!IsUnixSocket(options.server) && !HostOf(options.server).has_value()) {
    return Invalid("the server must be HOST:PORT, got '" + options.server + "'");
  }
  if (options.certificate_file.empty() != options.key_file.empty()) {
    return Invalid("a client certificate and its key go together");
  }
  auto token = FindToken(options);
  if (!token.ok()) return token.error();

  std::shared_ptr<grpc::ChannelCredentials> credentials;
  grpc::ChannelArguments arguments;
  if (options.tls) {
    grpc::SslCredentialsOptions ssl;
    const std::pair<const std::string*, std::string*> files[] = {
        {&options.ca_file, &ssl.pem_root_certs},
        {&options.certificate_file, &ssl.pem_cert_chain},
        {&options.key_file, &ssl.pem_private_key}};
    for (const auto& [path, contents] : files) {
      if (path->empty()) continue;
      auto text = ReadSmallFile(*path);
      if (!text.ok()) return text.error();
      *contents = std::move(text).value();
    }
    credentials = grpc::SslCredentials(ssl);
    if (!options.tls_server_name.empty()) {
      arguments.SetSslTargetNameOverride(options.tls_server_name);
    }
  } else {
    credentials = grpc::InsecureChannelCredentials();
  }
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments.SetUserAgentPrefix("ssmd-cpp");
  // A proxy between a machine and itself is never meant.
  if (IsLoopback(options.server)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (options.stream_window_bytes > 0) {
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, options.stream_window_bytes);
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  }
  return Connection{grpc::CreateCustomChannel(options.server, credentials, arguments),
                    std::move(token).value()};
}

}  // namespace ssmd::client
