// One HTTP request on its way to its answer: what a handler is given.
//
// An answer is whole (Respond), or comes in pieces (Begin, Write…, End), as event streams do.
// Handlers may keep the Exchange and answer later, from any thread; one that is dropped without an
// end closes its connection. Nothing here blocks.
#ifndef SSMD_SERVER_HTTP_EXCHANGE_H_
#define SSMD_SERVER_HTTP_EXCHANGE_H_

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ssmd::server {

// Who asks, as far as the connection knows.
struct HttpPeer {
  std::string address;
  bool loopback = false;
};

struct HttpRequest {
  std::string method;                       // "GET"
  std::string target;                       // "/metrics?x=y"
  std::vector<std::string> hosts;           // values of the Host header, as many as there were
  std::vector<std::string> authorizations;  // of the Authorization header
  std::vector<std::string> origins;         // of the Origin header
  std::string content_type;
  std::string traceparent;
  std::string body;
  HttpPeer peer;
  std::map<std::string, std::string> path_values;  // by the names in the route's path
  std::shared_ptr<void> admission;                 // what its route's `admit` gave, if it was asked

  // Of the target's query, percent-decoded: absent if there is none of that name; the first of
  // several.
  std::optional<std::string> Query(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // further ones
  std::shared_ptr<void> held;  // until the whole answer is sent, or the caller is gone
};

HttpResponse PlainResponse(int status, std::string_view text);  // adds a line end
// When to ask again: in whole seconds as HTTP has it, and in milliseconds.
void AddRetryAfter(std::chrono::milliseconds delay, HttpResponse* response);

class Exchange {
 public:
  Exchange() = default;
  virtual ~Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // Whether it was taken, or the caller was gone before; on the HTTP thread.
  using Written = std::function<void(bool ok)>;

  // The whole answer. Once, and then nothing else.
  virtual void Respond(HttpResponse response) = 0;

  // The answer's head; `head.body` is not used. `idle_piece` is sent whenever there was nothing to
  // write for ServerLimits::http_keep_alive; empty: nothing is.
  virtual void Begin(HttpResponse head, std::string idle_piece) = 0;
  // REQUIRES: the piece before was written.
  virtual void Write(std::string piece, Written written) = 0;
  virtual void End() = 0;

  // `gone` is called at most once, on the HTTP thread, if the caller goes away before the end of
  // the answer.
  virtual void OnGone(std::function<void()> gone) = 0;
  // Runs work on the HTTP thread; drops it when that is at its end.
  virtual void Post(std::function<void()> work) = 0;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_EXCHANGE_H_
