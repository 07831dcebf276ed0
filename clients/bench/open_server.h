// Reaches a server before it is loaded: does it answer, and is the model there?
#ifndef SSMD_CLIENTS_BENCH_OPEN_SERVER_H_
#define SSMD_CLIENTS_BENCH_OPEN_SERVER_H_

#include <memory>
#include <optional>
#include <string>

#include "clients/bench/event_loop.h"
#include "clients/bench/http_endpoint.h"
#include "clients/bench/serve_run.h"

namespace ssmd::bench {

struct OpenedServer {
  std::string name;      // as it was given
  std::string protocol;  // "grpc" or "http"
  History history = History::kSession;
  std::unique_ptr<HttpClient> http;  // of an HTTP server
  std::unique_ptr<Endpoint> endpoint;
};

bool IsHttpAddress(const std::string& server);
const char* NameOf(History history);

// `history` is for HTTP; absent: sessions of an ssmd, otherwise all again. The loop is not running.
client::Result<OpenedServer> OpenServer(EventLoop* loop, const ServerOptions& server,
                                        const AskOptions& ask, std::optional<History> history);

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_OPEN_SERVER_H_
