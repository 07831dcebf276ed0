// One HTTP connection, plain or TLS: read a request, ask the router, write the answer, again until
// either side has enough. Everything has a limit: header, body, what is read ahead, and the time
// for each read and write. Without a router it is one too many: its first request is answered with
// 503, and that is all.
//
// What it sends goes through one queue (Send), and what it reads ahead while a request is being
// answered tells that the caller is gone, too. Runs on the HTTP thread only. Kept alive by the
// operation that is in progress and by the Exchange of the request at hand.
#ifndef SSMD_SERVER_HTTP_CONNECTION_H_
#define SSMD_SERVER_HTTP_CONNECTION_H_

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream_base.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "server/http/connection_exchange.h"
#include "server/http/http_text.h"
#include "server/http/router.h"
#include "server/limits.h"

namespace ssmd::server {

using PlainStream = boost::beast::tcp_stream;
using TlsStream = boost::beast::ssl_stream<boost::beast::tcp_stream>;

template <typename Stream>
class Connection final : public AnyConnection,
                         public std::enable_shared_from_this<Connection<Stream>> {
 public:
  // `router`, which may be null, and `limits` outlive the connection; `timeout` is that of each
  // read and write; `on_close` is called when it is gone.
  Connection(Stream stream, const Router* router, const ServerLimits* limits, Duration timeout,
             HttpPeer peer, std::function<void()> on_close)
      : stream_(std::move(stream)),
        work_(stream_.get_executor()),
        timer_(stream_.get_executor()),
        router_(router),
        limits_(limits),
        timeout_(timeout),
        peer_(std::move(peer)),
        on_close_(std::move(on_close)) {}
  ~Connection() override { on_close_(); }

  void Start() {
    boost::beast::error_code ignored;
    Lowest().socket().set_option(boost::asio::ip::tcp::no_delay(true), ignored);
    if constexpr (kTls) {
      Lowest().expires_after(timeout_);
      stream_.async_handshake(boost::asio::ssl::stream_base::server,
                              [self = Self()](boost::beast::error_code error) {
                                if (!error) self->AwaitRequest();
                              });
    } else {
      AwaitRequest();
    }
  }

  // --- AnyConnection ---
  void Abort() override {
    Lost();
    Finish();
  }
  void Leave() override {
    if (!answering_) {
      Abort();
      return;
    }
    wire_.keep_alive = false;
    if (const auto gone = std::exchange(gone_, nullptr)) gone();
  }
  void Dispatch(std::function<void()> work) override {
    boost::asio::dispatch(stream_.get_executor(), std::move(work));
  }
  void Enqueue(std::function<void()> work) override {
    boost::asio::post(stream_.get_executor(), std::move(work));
  }
  void Respond(uint64_t exchange, HttpResponse response) override {
    if (!IsAt(exchange) || begun_) return;
    begun_ = true;
    Exchange::Written sent;
    if (response.held != nullptr) sent = [held = response.held](bool) {};
    Send(WholeText(std::move(response), wire_), std::move(sent));
    EndAnswer();
  }
  void Begin(uint64_t exchange, HttpResponse head, std::string idle_piece) override {
    if (!IsAt(exchange) || begun_) return;
    begun_ = true;
    idle_piece_ = std::move(idle_piece);
    Send(HeadText(head, wire_), nullptr);
  }
  void Write(uint64_t exchange, std::string piece, Exchange::Written written) override {
    if (!IsAt(exchange) || lost_) {
      written(false);
      return;
    }
    Send(PieceText(std::move(piece), wire_), std::move(written));
  }
  void End(uint64_t exchange) override {
    if (!IsAt(exchange)) return;
    Send(std::string(EndText(wire_)), nullptr);
    EndAnswer();
  }
  void SetGone(uint64_t exchange, std::function<void()> gone) override {
    if (!IsAt(exchange)) return;
    if (lost_) {
      gone();
    } else {
      gone_ = std::move(gone);
    }
  }
  void Drop(uint64_t exchange) override {
    if (IsAt(exchange) && !ended_) Abort();
  }

 private:
  static constexpr bool kTls = std::is_same_v<Stream, TlsStream>;
  static constexpr size_t kDiscardedBytesMax = size_t{1} << 20;
  static constexpr size_t kListenBytes = 1024;
  // Who asks and what for is looked at before a longer body is read.
  static constexpr uint64_t kShortBodyBytes = 65536;
  // Bodies that are slower than this, past the timeout, are given up.
  static constexpr uint64_t kBodyBytesPerSecondMin = uint64_t{1} << 20;

  std::shared_ptr<Connection> Self() { return this->shared_from_this(); }
  auto& Lowest() { return boost::beast::get_lowest_layer(stream_); }
  bool IsAt(uint64_t exchange) const { return answering_ && exchange == exchange_; }

  // --- Reading ---
  // Until the first bytes of the next request.
  void AwaitRequest() {
    if (buffer_.size() > 0) {
      ReadHeader();
      return;
    }
    timer_.expires_after(exchange_ == 0 ? timeout_ : limits_->http_idle_timeout);
    timer_.async_wait([self = Self()](boost::beast::error_code error) {
      if (!error && !self->answering_ && !self->reading_) self->Abort();
    });
    Listen();
  }

  // While a request is awaited or answered there is a read under way: it brings the beginning of
  // the next one, or says that the caller is gone. Of a caller that sends ahead that is not heard:
  // there is one read at a time.
  void Listen() {
    if (listening_ || buffer_.size() > 0) return;
    listening_ = true;
    Lowest().expires_never();
    stream_.async_read_some(buffer_.prepare(kListenBytes),
                            [self = Self()](boost::beast::error_code error, size_t bytes) {
                              self->OnHeard(error, bytes);
                            });
  }
  void OnHeard(boost::beast::error_code error, size_t bytes) {
    listening_ = false;
    buffer_.commit(bytes);
    if (closing_ && !error) {
      Discard(kDiscardedBytesMax);
    } else if (closing_) {
      Finish();
    } else if (error) {
      Lost();
    } else if (!answering_) {
      ReadHeader();
    }
  }

  void ReadHeader() {
    reading_ = true;
    timer_.cancel();
    parser_.emplace();
    parser_->header_limit(static_cast<uint32_t>(limits_->http_header_bytes));
    parser_->body_limit(std::numeric_limits<uint64_t>::max());  // until it is known what is asked
    Lowest().expires_after(timeout_);
    boost::beast::http::async_read_header(
        stream_, buffer_, *parser_,
        [self = Self()](boost::beast::error_code error, size_t) { self->OnHeader(error); });
  }

  void OnHeader(boost::beast::error_code error) {
    if (error) {
      OnRequest(error);
      return;
    }
    const WireRequest& request = parser_->get();
    std::optional<size_t> most;
    if (router_ != nullptr) {
      most = router_->BodyBytes(TextOf(request.method_string()), TextOf(request.target()));
    }
    const uint64_t body_bytes = most.value_or(static_cast<size_t>(limits_->http_body_bytes));
    parser_->body_limit(body_bytes);
    const auto length = parser_->content_length();
    if (length && *length > body_bytes) {
      OnRequest(boost::beast::http::error::body_limit);
      return;
    }
    const uint64_t to_come = parser_->chunked() ? body_bytes : length.value_or(0);
    if (router_ != nullptr && to_come > kShortBodyBytes) {
      HttpRequest head = FromWire(WireRequest(request.base()), peer_);
      if (auto refused = router_->Admit(&head)) {
        CloseWith(*std::move(refused));
        return;
      }
      admission_ = std::move(head.admission);
    }
    if (ExpectsContinue(request)) Send(std::string(kContinueText), nullptr);
    const std::chrono::seconds slowest(length.value_or(0) / kBodyBytesPerSecondMin);
    Lowest().expires_after(timeout_ + slowest);
    boost::beast::http::async_read(
        stream_, buffer_, *parser_,
        [self = Self()](boost::beast::error_code read, size_t) { self->OnRequest(read); });
  }

  // An answer to what was not read to its end.
  void CloseWith(HttpResponse answer) {
    reading_ = false;
    wire_ = WireAnswer();
    if (router_ != nullptr && parser_.has_value() && parser_->is_header_done()) {
      const WireRequest& request = parser_->get();
      wire_.version = request.version();
      wire_.head = request.method() == boost::beast::http::verb::head;
      wire_.headers = router_->CorsOf(FromWire(WireRequest(request.base()), peer_));
    }
    Send(WholeText(std::move(answer), wire_), nullptr);
    closing_ = true;
  }

  void OnRequest(boost::beast::error_code error) {
    reading_ = false;
    if (error) {
      admission_ = nullptr;
      if (error == boost::beast::http::error::body_limit && router_ != nullptr) {
        CloseWith(router_->BodyTooLarge(TextOf(parser_->get().target())));
      } else if (auto answer = AnswerToBadRequest(error)) {
        CloseWith(*std::move(answer));
      } else {
        Close();
      }
      return;
    }
    WireRequest request = parser_->release();
    parser_.reset();
    wire_ = WireAnswer();
    wire_.version = request.version();
    wire_.head = request.method() == boost::beast::http::verb::head;
    wire_.keep_alive = request.keep_alive() && router_ != nullptr;
    answering_ = true;
    begun_ = false;
    ++exchange_;
    const auto exchange = std::make_shared<ConnectionExchange>(Self(), exchange_);
    if (router_ == nullptr) {
      exchange->Respond(AnswerToOneTooMany());
    } else {
      HttpRequest asked = FromWire(std::move(request), peer_);
      asked.admission = std::exchange(admission_, nullptr);
      wire_.headers = router_->CorsOf(asked);
      router_->Handle(std::move(asked), exchange);
    }
    if (answering_ && !ended_) Listen();
  }

  // --- Writing ---
  void Send(std::string text, Exchange::Written written) {
    queued_ += text;
    if (written) queued_written_.push_back(std::move(written));
    if (!writing_) Flush();
  }
  void Flush() {
    timer_.cancel();
    if (lost_) {
      queued_.clear();
      TellWritten(std::exchange(queued_written_, {}), false);
      return;
    }
    writing_ = true;
    sent_ = std::exchange(queued_, {});
    Lowest().expires_after(timeout_);
    boost::asio::async_write(stream_, boost::asio::buffer(sent_),
                             [self = Self(), written = std::exchange(queued_written_, {})](
                                 boost::beast::error_code error, size_t /*bytes*/) mutable {
                               self->OnSent(error, std::move(written));
                             });
  }
  void OnSent(boost::beast::error_code error, std::vector<Exchange::Written> written) {
    writing_ = false;
    if (error) Lost();
    TellWritten(std::move(written), !error);
    if (!writing_ && (!queued_.empty() || !queued_written_.empty())) Flush();
    if (writing_) return;
    if (ended_ || closing_) {
      OnAnswered();
    } else if (begun_ && !lost_ && !idle_piece_.empty()) {
      SendWhenIdle();
    }
  }
  static void TellWritten(std::vector<Exchange::Written> written, bool ok) {
    for (const Exchange::Written& tell : written) tell(ok);
  }
  void SendWhenIdle() {
    timer_.expires_after(limits_->http_keep_alive);
    timer_.async_wait([self = Self(), exchange = exchange_](boost::beast::error_code error) {
      if (error || !self->IsAt(exchange) || self->ended_ || self->writing_) return;
      self->Send(PieceText(self->idle_piece_, self->wire_), nullptr);
    });
  }

  void EndAnswer() {
    ended_ = true;
    gone_ = nullptr;
    if (!writing_) OnAnswered();
  }
  // All of the answer is sent, or the caller is gone.
  void OnAnswered() {
    if (!ended_ && !closing_) return;
    answering_ = ended_ = false;
    idle_piece_.clear();
    if (lost_) {
      Finish();
    } else if (closing_ || !wire_.keep_alive) {
      Close();
    } else {
      AwaitRequest();
    }
  }

  // --- Ends ---
  void Lost() {
    lost_ = true;
    if (auto gone = std::exchange(gone_, nullptr)) gone();
    if (!answering_) Finish();
  }

  void Close() {
    closing_ = true;
    timer_.expires_after(timeout_);
    timer_.async_wait([self = Self()](boost::beast::error_code error) {
      if (!error) self->Lowest().close();
    });
    if constexpr (kTls) {
      stream_.async_shutdown([self = Self()](boost::beast::error_code) { self->Finish(); });
    } else {
      boost::beast::error_code ignored;
      stream_.socket().shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
      if (!listening_) Discard(kDiscardedBytesMax);
    }
  }

  // Takes what is still under way: a socket that is closed with bytes unread resets the connection,
  // and the answer could be lost with it.
  void Discard(size_t bytes_left) {
    buffer_.clear();
    Lowest().expires_never();  // the timer watches
    stream_.async_read_some(
        buffer_.prepare(std::min<size_t>(bytes_left, 65536)),
        [self = Self(), bytes_left](boost::beast::error_code error, size_t bytes) {
          if (error || bytes == bytes_left) {
            self->Finish();
          } else {
            self->Discard(bytes_left - bytes);
          }
        });
  }
  void Finish() {
    timer_.cancel();
    Lowest().close();
  }

  Stream stream_;
  // The server's thread ends when nobody has a connection any more.
  const boost::asio::executor_work_guard<typename Stream::executor_type> work_;
  boost::asio::steady_timer timer_;  // of a connection that is idle, or an answer that is
  const Router* const router_;
  const ServerLimits* const limits_;
  const Duration timeout_;
  const HttpPeer peer_;
  const std::function<void()> on_close_;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  std::shared_ptr<void> admission_;  // of the request that is being read
  bool reading_ = false;             // a request
  bool listening_ = false;           // Listen's read is under way

  // Of the request that is being answered.
  uint64_t exchange_ = 0;
  bool answering_ = false;
  bool begun_ = false;
  bool ended_ = false;  // all of the answer is queued
  WireAnswer wire_;
  std::string idle_piece_;
  std::function<void()> gone_;

  std::string queued_, sent_;
  std::vector<Exchange::Written> queued_written_;
  bool writing_ = false;
  bool lost_ = false;     // nobody is there to read
  bool closing_ = false;  // after what is queued
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_CONNECTION_H_
