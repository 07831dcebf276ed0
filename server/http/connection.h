// One HTTP connection, plain or TLS: read a request, ask the router, write the answer, again until
// either side has enough. Everything has a limit: header, body, and the time for each read and
// write. Without a router it is one too many: its first request is answered with 503, and that is
// all.
//
// Runs on the HTTP thread only. Kept alive by the operation that is in progress.
#ifndef SSMD_SERVER_HTTP_CONNECTION_H_
#define SSMD_SERVER_HTTP_CONNECTION_H_

#include <algorithm>
#include <boost/asio/ssl/stream_base.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "server/http/router.h"
#include "server/limits.h"

namespace ssmd::server {

using PlainStream = boost::beast::tcp_stream;
using TlsStream = boost::beast::ssl_stream<boost::beast::tcp_stream>;
using WireRequest = boost::beast::http::request<boost::beast::http::string_body>;
using WireResponse = boost::beast::http::response<boost::beast::http::string_body>;

HttpRequest FromWire(WireRequest request, bool loopback_peer);
// `head`: the request was HEAD: the body is described, not sent.
WireResponse ToWire(HttpResponse response, unsigned version, bool keep_alive, bool head);
// What to answer to a request that could not be read; nothing where there is nobody to tell.
std::optional<HttpResponse> AnswerToBadRequest(boost::beast::error_code error);
HttpResponse AnswerToOneTooMany();

template <typename Stream>
class Connection : public std::enable_shared_from_this<Connection<Stream>> {
 public:
  // `router`, which may be null, and `limits` outlive the connection; `timeout` is that of each
  // read and write; `on_close` is called when it is gone.
  Connection(Stream stream, const Router* router, const ServerLimits* limits, Duration timeout,
             bool loopback_peer, std::function<void()> on_close)
      : stream_(std::move(stream)),
        router_(router),
        limits_(limits),
        timeout_(timeout),
        loopback_peer_(loopback_peer),
        on_close_(std::move(on_close)) {}
  ~Connection() { on_close_(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Start() {
    if constexpr (kTls) {
      SetTimeout();
      stream_.async_handshake(boost::asio::ssl::stream_base::server,
                              [self = this->shared_from_this()](boost::beast::error_code error) {
                                if (!error) self->Read();
                              });
    } else {
      Read();
    }
  }

 private:
  static constexpr bool kTls = std::is_same_v<Stream, TlsStream>;
  static constexpr size_t kDiscardedBytesMax = size_t{1} << 20;

  void SetTimeout() { boost::beast::get_lowest_layer(stream_).expires_after(timeout_); }

  void Read() {
    parser_.emplace();
    parser_->header_limit(static_cast<uint32_t>(limits_->http_header_bytes));
    parser_->body_limit(static_cast<uint64_t>(limits_->http_body_bytes));
    SetTimeout();
    boost::beast::http::async_read(
        stream_, buffer_, *parser_,
        [self = this->shared_from_this()](boost::beast::error_code error, size_t /*bytes*/) {
          self->OnRead(error);
        });
  }

  void OnRead(boost::beast::error_code error) {
    if (!error) {
      WireRequest request = parser_->release();
      const bool head = request.method() == boost::beast::http::verb::head;
      const unsigned version = request.version();
      const bool keep_alive = request.keep_alive() && router_ != nullptr;
      HttpResponse response = router_ == nullptr
                                  ? AnswerToOneTooMany()
                                  : router_->Handle(FromWire(std::move(request), loopback_peer_));
      Write(ToWire(std::move(response), version, keep_alive, head));
      return;
    }
    if (auto answer = AnswerToBadRequest(error)) {
      Write(ToWire(*std::move(answer), 11, /*keep_alive=*/false, /*head=*/false));
      return;
    }
    Close();
  }

  void Write(WireResponse response) {
    response_ = std::move(response);
    SetTimeout();
    boost::beast::http::async_write(
        stream_, response_,
        [self = this->shared_from_this()](boost::beast::error_code error, size_t /*bytes*/) {
          if (error) return;
          if (self->response_.need_eof()) {
            self->Close();
          } else {
            self->Read();
          }
        });
  }

  void Close() {
    if constexpr (kTls) {
      SetTimeout();
      stream_.async_shutdown([self = this->shared_from_this()](boost::beast::error_code) {});
    } else {
      boost::beast::error_code ignored;
      stream_.socket().shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
      buffer_.clear();
      SetTimeout();
      Discard(kDiscardedBytesMax);
    }
  }

  // Takes what is still under way: a socket that is closed with bytes unread resets the connection,
  // and the answer could be lost with it.
  void Discard(size_t bytes_left) {
    if (bytes_left == 0) return;
    stream_.async_read_some(buffer_.prepare(std::min<size_t>(bytes_left, 65536)),
                            [self = this->shared_from_this(), bytes_left](
                                boost::beast::error_code error, size_t bytes) {
                              if (!error) self->Discard(bytes_left - bytes);
                            });
  }

  Stream stream_;
  const Router* const router_;
  const ServerLimits* const limits_;
  const Duration timeout_;
  const bool loopback_peer_;
  const std::function<void()> on_close_;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  WireResponse response_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_CONNECTION_H_
