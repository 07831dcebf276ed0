// The HTTP listener: one thread that accepts connections up to a limit and serves them by a Router.
// Past the limit a connection is told so (503); past a further, fixed number it is closed at once.
#ifndef SSMD_SERVER_HTTP_HTTP_SERVER_H_
#define SSMD_SERVER_HTTP_HTTP_SERVER_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "server/access/listen_address.h"
#include "server/http/router.h"
#include "server/limits.h"
#include "server/options.h"

namespace ssmd::server {

class Certificates;

class HttpServer {
 public:
  struct Config {
    ListenAddress listen;
    ServerLimits limits;
    const Certificates* certificates = nullptr;  // outlives the server; null: plaintext
  };
  // `router` outlives the server.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const Config& config,
                                                           const Router* router);
  // Closes every connection, waits for what they were asked, and joins the thread.
  virtual ~HttpServer() = default;
  virtual uint16_t port() const = 0;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_HTTP_SERVER_H_
