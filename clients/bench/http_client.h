// HTTP/1.1 to one server, many requests at once: connections are kept and used again, answers are
// handed on as their bytes come. Plaintext. Everything happens on the loop's thread.
#ifndef SSMD_CLIENTS_BENCH_HTTP_CLIENT_H_
#define SSMD_CLIENTS_BENCH_HTTP_CLIENT_H_

#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clients/bench/event_loop.h"
#include "clients/cpp/error.h"

namespace ssmd::bench {

struct HttpAddress {
  std::string host;
  std::string port;
  std::string base;  // of every path, such as "/v1"

  std::string authority() const;  // "HOST:PORT", with brackets where IPv6 needs them

  // "http://HOST:PORT" and what may follow; "/v1" where nothing does.
  static client::Result<HttpAddress> Parse(std::string_view url);
};

struct HttpRequest {
  std::string method;
  std::string path;  // behind the address's base
  std::string body;  // JSON, where there is any
};

// What becomes of a request, in this order; on_end comes always, and once.
struct HttpHandlers {
  std::function<void(int status, std::string_view content_type)> on_header;
  std::function<bool(std::string_view bytes)> on_bytes;  // false: give the request up
  // `error` is a code (UNAVAILABLE, DEADLINE_EXCEEDED, MALFORMED, CANCELLED where on_bytes gave it
  // up); empty: the answer is whole.
  std::function<void(const std::string& error, const std::string& message)> on_end;
};

class HttpClient {
 public:
  // Looks the host's name up. `token` may be empty.
  static client::Result<std::unique_ptr<HttpClient>> Create(EventLoop* loop,
                                                            const HttpAddress& address,
                                                            const std::string& token);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Handlers are called after this has returned. This outlives the request.
  void Send(HttpRequest request, std::optional<std::chrono::milliseconds> timeout,
            HttpHandlers handlers);

 private:
  class Exchange;
  struct Connection;
  HttpClient(EventLoop* loop, const HttpAddress& address, const std::string& token,
             boost::asio::ip::tcp::resolver::results_type endpoints);

  EventLoop* const loop_;
  const HttpAddress address_;
  const std::string token_;
  const boost::asio::ip::tcp::resolver::results_type endpoints_;
  std::vector<std::unique_ptr<Connection>> idle_;
};

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_HTTP_CLIENT_H_
