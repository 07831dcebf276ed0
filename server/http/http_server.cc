// See http_server.h.
#include "server/http/http_server.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/access/certificates.h"
#include "server/http/connection.h"

namespace ssmd::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::beast::error_code;

// After accept() failed, which is when the process has no file descriptor left.
constexpr std::chrono::milliseconds kAcceptPause(100);

// Connections past the limit that are being told so at once, and what each gets for it.
constexpr int kRefusalsMax = 64;
constexpr std::chrono::seconds kRefusalTimeout(10);

// For callers to be told how what they asked ended, when the server stops.
constexpr std::chrono::seconds kFarewell(1);

absl::Status TlsError(const char* flag, error_code error) {
  return absl::InvalidArgumentError(absl::StrCat(flag, ": ", error.message()));
}

absl::StatusOr<std::unique_ptr<asio::ssl::context>> MakeTls(const TlsMaterial& material) {
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  error_code error;
  context->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                           asio::ssl::context::no_tlsv1_1,
                       error);
  if (!error) context->use_certificate_chain(asio::buffer(material.certificate), error);
  if (error) return TlsError("--tls-cert", error);
  context->use_private_key(asio::buffer(material.key), asio::ssl::context::pem, error);
  if (error) return TlsError("--tls-key", error);
  if (!material.client_ca.empty()) {
    context->add_certificate_authority(asio::buffer(material.client_ca), error);
    if (!error) {
      context->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert,
                               error);
    }
    if (error) return TlsError("--tls-client-ca", error);
  }
  return context;
}

class HttpServerImpl final : public HttpServer {
 public:
  HttpServerImpl(const Config& config, const Router* router)
      : config_(config), router_(router), acceptor_(io_), timer_(io_) {}
  // Turns are called off, and their callers told; every connection is closed, and the thread ends
  // with the last one.
  ~HttpServerImpl() override {
    if (!thread_.joinable()) return;
    asio::post(io_, [this] {
      stopping_ = true;
      error_code ignored;
      acceptor_.close(ignored);
      timer_.cancel();
      ForEach(&AnyConnection::Leave);
      if (open_.empty()) return;
      timer_.expires_after(kFarewell);
      timer_.async_wait([this](error_code error) {
        if (!error) ForEach(&AnyConnection::Abort);
      });
    });
    thread_.join();
  }

  absl::Status Listen() {
    SSMD_RETURN_IF_ERROR(TakeCertificates());
    error_code error;
    tcp::resolver resolver(io_);
    const auto found = resolver.resolve(config_.listen.host, std::to_string(config_.listen.port),
                                        tcp::resolver::passive, error);
    if (!error) {
      const tcp::endpoint endpoint = found.begin()->endpoint();
      acceptor_.open(endpoint.protocol(), error);
      if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
      if (!error) acceptor_.bind(endpoint, error);
      if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
      if (!error) port_ = acceptor_.local_endpoint(error).port();
    }
    if (error) {
      return absl::UnavailableError(absl::StrCat("cannot listen on --http-listen ",
                                                 config_.listen.ToString(), ": ", error.message()));
    }
    Accept();
    thread_ = std::thread([this] { io_.run(); });
    return absl::OkStatus();
  }

  uint16_t port() const override { return port_; }

 private:
  void Accept() {
    acceptor_.async_accept([this](error_code error, tcp::socket socket) {
      if (stopping_) return;
      if (error) {
        timer_.expires_after(kAcceptPause);
        timer_.async_wait([this](error_code) {
          if (!stopping_) Accept();
        });
        return;
      }
      if (connections_ < config_.limits.http_connections) {
        Serve(std::move(socket), router_, config_.limits.http_timeout, &connections_);
      } else if (refusals_ < kRefusalsMax) {
        Serve(std::move(socket), /*router=*/nullptr,
              std::min<Duration>(config_.limits.http_timeout, kRefusalTimeout), &refusals_);
      }
      Accept();
    });
  }

  // A context is not to be changed under the connections that it serves: those that begin get a
  // new one where there is a new certificate.
  absl::Status TakeCertificates() {
    if (config_.certificates == nullptr) return absl::OkStatus();
    auto current = config_.certificates->Current();
    if (current == material_) return absl::OkStatus();
    material_ = std::move(current);
    SSMD_ASSIGN_OR_RETURN(tls_, MakeTls(*material_));
    return absl::OkStatus();
  }

  // `count` is one higher while the connection is there.
  void Serve(tcp::socket socket, const Router* router, Duration timeout, int* count) {
    error_code error;
    const auto peer = socket.remote_endpoint(error);
    if (error) return;
    const std::string host = peer.address().to_string();
    const HttpPeer caller{ListenAddress{host, peer.port()}.ToString(), IsLoopbackHost(host)};
    TakeCertificates().IgnoreError();  // they were looked at before: the old context goes on
    ++*count;
    const uint64_t number = ++last_number_;
    const auto on_close = [this, count, number] {
      --*count;
      open_.erase(number);
      if (stopping_ && open_.empty()) timer_.cancel();
    };
    if (tls_ != nullptr) {
      Begin(std::make_shared<Connection<TlsStream>>(TlsStream(std::move(socket), *tls_), router,
                                                    &config_.limits, timeout, caller, on_close),
            number);
    } else {
      Begin(std::make_shared<Connection<PlainStream>>(PlainStream(std::move(socket)), router,
                                                      &config_.limits, timeout, caller, on_close),
            number);
    }
  }
  void ForEach(void (AnyConnection::*act)()) {
    std::vector<std::shared_ptr<AnyConnection>> open;  // acting, one may leave open_
    for (const auto& connection : open_) open.push_back(connection.second.lock());
    for (const auto& connection : open) {
      if (connection != nullptr) (connection.get()->*act)();
    }
  }
  template <typename Stream>
  void Begin(const std::shared_ptr<Connection<Stream>>& connection, uint64_t number) {
    open_[number] = connection;
    connection->Start();
  }

  const Config config_;
  const Router* const router_;
  uint16_t port_ = 0;
  // On the HTTP thread; before io_, whose end closes the last of what they count.
  int connections_ = 0;
  int refusals_ = 0;
  bool stopping_ = false;
  uint64_t last_number_ = 0;
  std::map<uint64_t, std::weak_ptr<AnyConnection>> open_;
  std::shared_ptr<const TlsMaterial> material_;  // of which tls_ is made; null: plaintext
  std::unique_ptr<asio::ssl::context> tls_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_;
  asio::steady_timer timer_;  // of a pause in accepting, or of the farewell
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const Config& config,
                                                              const Router* router) {
  auto server = std::make_unique<HttpServerImpl>(config, router);
  SSMD_RETURN_IF_ERROR(server->Listen());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace ssmd::server
