// How to reach a daemon: address, transport security and who one is.
#ifndef SSMD_CLIENTS_CPP_CHANNEL_H_
#define SSMD_CLIENTS_CPP_CHANNEL_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>
#include <string_view>

#include "clients/cpp/error.h"

namespace ssmd::client {

struct ConnectOptions {
  std::string server = {};           // "HOST:PORT" or "[IPv6]:PORT"
  bool tls = false;                  // verified against the system's roots, or against `ca_file`
  std::string ca_file = {};          // PEM; empty: the system's roots
  std::string tls_server_name = {};  // expected in the certificate; empty: the host of `server`
  // This side's certificate and its key (PEM), for servers that ask for one; both or neither.
  std::string certificate_file = {};
  std::string key_file = {};
  std::string token_file = {};  // holds the bearer token; empty: the variable SSMD_TOKEN, if set
  // A token is sent over plaintext to loopback addresses only, unless this is set.
  bool allow_plaintext_token = false;
  // HTTP/2 flow-control window of a stream in bytes; 0 is gRPC's own choice. A small one makes the
  // server notice early that a reader has stopped.
  int stream_window_bytes = 0;
};

// A channel to the daemon and the token for its calls ("" for none).
struct Connection {
  std::shared_ptr<grpc::Channel> channel;
  std::string token;
};

// Does not wait for the server: an unreachable one shows in the first call. INVALID_ARGUMENT for
// options that cannot work (no port, a file that cannot be read, a token that plaintext would
// leak).
Result<Connection> Connect(const ConnectOptions& options);

// True for 127.0.0.0/8, ::1, localhost and Unix sockets.
bool IsLoopback(std::string_view server);

}  // namespace ssmd::client

#endif  // SSMD_CLIENTS_CPP_CHANNEL_H_
