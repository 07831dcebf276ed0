#include "clients/bench/http_client.h"

#include <algorithm>
#include <array>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <utility>

namespace ssmd::bench {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::asio::ip::tcp;

constexpr auto kConnectTimeout = std::chrono::seconds(10);
constexpr uint32_t kHeaderBytesMax = 1 << 16;
// Streams end when they end; who reads them has limits of its own. (Beast 1.74 takes no limit for 0
// where a length is given.)
constexpr uint64_t kBodyBytesMax = uint64_t{1} << 36;

client::Error BadAddress(const std::string& message) {
  return {grpc::StatusCode::INVALID_ARGUMENT, message, "", std::nullopt};
}

bool IsPort(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

// Of what may go into a request's line and header as it is.
bool IsPrintableAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

std::pair<std::string, std::string> Explain(beast::error_code error) {
  if (error == beast::error::timeout) return {"DEADLINE_EXCEEDED", "no answer in time"};
  if (error == http::error::end_of_stream || error == http::error::partial_message) {
    return {"UNAVAILABLE", "the server closed the connection"};
  }
  if (error.category() == http::make_error_code(http::error::bad_method).category()) {
    return {"MALFORMED", "the answer is not HTTP/1.1: " + error.message()};
  }
  return {"UNAVAILABLE", error.message()};
}

}  // namespace

std::string HttpAddress::authority() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  return (ipv6 ? "[" + host + "]" : host) + ":" + port;
}

client::Result<HttpAddress> HttpAddress::Parse(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  const auto bad = [&](const std::string& why) {
    return BadAddress("'" + std::string(url) + "' " + why +
                      ": give http://HOST:PORT, or HOST:PORT for gRPC");
  };
  if (url.substr(0, 8) == "https://") return bad("needs TLS, which is for gRPC only");
  if (url.substr(0, kScheme.size()) != kScheme) return bad("is no HTTP address");
  std::string_view rest = url.substr(kScheme.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view base = rest.substr(slash);
  rest = rest.substr(0, slash);
  HttpAddress address;
  const size_t colon = rest.rfind(':');
  const bool has_port = colon != std::string_view::npos && rest.find(']', colon) == rest.npos;
  address.port = has_port ? rest.substr(colon + 1) : "80";
  std::string_view host = has_port ? rest.substr(0, colon) : rest;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  while (!base.empty() && base.back() == '/') base.remove_suffix(1);
  if (host.empty() || !IsPort(address.port)) return bad("has no host, or a port that is none");
  if (!IsPrintableAscii(url)) return bad("has characters that an address cannot have");
  address.host = host;
  address.base = base.empty() ? "/v1" : base;
  return address;
}

struct HttpClient::Connection {
  explicit Connection(boost::asio::io_context& io) : stream(io) {}
  beast::tcp_stream stream;
  beast::flat_buffer buffer;
  bool used = false;
};

// One request and its answer; keeps itself alive through what it waits for.
class HttpClient::Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(HttpClient* client, HttpRequest request,
           std::optional<std::chrono::milliseconds> timeout, HttpHandlers handlers)
      : client_(client), handlers_(std::move(handlers)) {
    if (timeout.has_value()) deadline_ = client->loop_->Now() + *timeout;
    message_.version(11);
    message_.method_string(request.method);
    message_.target(client->address_.base + request.path);
    message_.set(http::field::host, client->address_.authority());
    message_.set(http::field::user_agent, "ssmd-bench");
    if (!client->token_.empty()) {
      message_.set(http::field::authorization, "Bearer " + client->token_);
    }
    if (!request.body.empty()) message_.set(http::field::content_type, "application/json");
    message_.body() = std::move(request.body);
    message_.prepare_payload();
  }

  void Start() {
    if (!client_->idle_.empty()) {
      connection_ = std::move(client_->idle_.back());
      client_->idle_.pop_back();
      SetDeadline();
      return Write();
    }
    Connect();
  }

 private:
  void Connect() {
    connection_ = std::make_unique<Connection>(client_->loop_->io());
    TimePoint until = client_->loop_->Now() + kConnectTimeout;
    if (deadline_.has_value()) until = std::min(until, *deadline_);
    connection_->stream.expires_at(until);
    connection_->stream.async_connect(
        client_->endpoints_, [self = shared_from_this()](beast::error_code error, const auto&) {
          if (error) {
            const auto [code, message] = Explain(error);
            return self->End(code, "cannot connect: " + message);
          }
          beast::error_code ignored;
          self->connection_->stream.socket().set_option(tcp::no_delay(true), ignored);
          self->SetDeadline();
          self->Write();
        });
  }

  void SetDeadline() {
    if (deadline_.has_value()) {
      connection_->stream.expires_at(*deadline_);
    } else {
      connection_->stream.expires_never();
    }
  }

  void Write() {
    parser_.emplace();
    parser_->header_limit(kHeaderBytesMax);
    parser_->body_limit(kBodyBytesMax);
    http::async_write(connection_->stream, message_,
                      [self = shared_from_this()](beast::error_code error, size_t) {
                        if (error) return self->FailOrTryAnew(error);
                        self->ReadHeader();
                      });
  }

  void ReadHeader() {
    http::async_read_header(connection_->stream, connection_->buffer, *parser_,
                            [self = shared_from_this()](beast::error_code error, size_t) {
                              if (error) return self->FailOrTryAnew(error);
                              self->TakeHeader();
                            });
  }

  // The server may close a kept connection just when it is used again: that is no failure of its.
  void FailOrTryAnew(beast::error_code error) {
    if (connection_->used && error != beast::error::timeout && !parser_->got_some()) {
      client_->idle_.clear();  // they are as old
      return Connect();
    }
    const auto [code, message] = Explain(error);
    End(code, message);
  }

  void TakeHeader() {
    const auto& header = parser_->get();
    const auto type = header[http::field::content_type];
    handlers_.on_header(static_cast<int>(header.result_int()),
                        std::string_view(type.data(), type.size()));
    ReadBody();
  }

  void ReadBody() {
    if (parser_->is_done()) return Complete();
    auto& body = parser_->get().body();
    body.data = block_.data();
    body.size = block_.size();
    http::async_read_some(connection_->stream, connection_->buffer, *parser_,
                          [self = shared_from_this()](beast::error_code error, size_t) {
                            const size_t left = self->parser_->get().body().size;
                            const std::string_view bytes(self->block_.data(),
                                                         self->block_.size() - left);
                            if (error && error != http::error::need_buffer) {
                              const auto [code, message] = Explain(error);
                              return self->End(code, message);
                            }
                            if (!bytes.empty() && !self->handlers_.on_bytes(bytes)) {
                              return self->End("CANCELLED", "given up");
                            }
                            self->ReadBody();
                          });
  }

  void Complete() {
    if (parser_->keep_alive()) {
      connection_->used = true;
      connection_->stream.expires_never();
      client_->idle_.push_back(std::move(connection_));
    }
    End("", "");
  }

  void End(const std::string& error, const std::string& message) {
    connection_.reset();
    const HttpHandlers handlers = std::exchange(handlers_, HttpHandlers());
    handlers.on_end(error, message);
  }

  HttpClient* const client_;
  HttpHandlers handlers_;
  std::optional<TimePoint> deadline_;
  http::request<http::string_body> message_;
  std::unique_ptr<Connection> connection_;
  std::optional<http::response_parser<http::buffer_body>> parser_;
  std::array<char, 16384> block_;
};

HttpClient::HttpClient(EventLoop* loop, const HttpAddress& address, const std::string& token,
                       tcp::resolver::results_type endpoints)
    : loop_(loop), address_(address), token_(token), endpoints_(std::move(endpoints)) {}

HttpClient::~HttpClient() = default;

client::Result<std::unique_ptr<HttpClient>> HttpClient::Create(EventLoop* loop,
                                                               const HttpAddress& address,
                                                               const std::string& token) {
  tcp::resolver resolver(loop->io());
  beast::error_code error;
  const auto endpoints = resolver.resolve(address.host, address.port, error);
  if (error) {
    return BadAddress("cannot find the host '" + address.host + "': " + error.message());
  }
  return std::unique_ptr<HttpClient>(new HttpClient(loop, address, token, endpoints));
}

void HttpClient::Send(HttpRequest request, std::optional<std::chrono::milliseconds> timeout,
                      HttpHandlers handlers) {
  std::make_shared<Exchange>(this, std::move(request), timeout, std::move(handlers))->Start();
}

}  // namespace ssmd::bench
