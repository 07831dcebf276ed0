// The router's checks, and the HTTP listener over real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <cstdio>

#include "server/http/ops_routes.h"
#include "server/http/router.h"
#include "tests/support/eventually.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/server/test_daemon.h"

namespace ssmd::server {
namespace {

using boost::asio::ip::tcp;
using ::ssmd::test::Eventually;
using ::testing::HasSubstr;
using ::testing::StartsWith;

HttpRequest Get(const std::string& target, const std::string& host = "localhost") {
  HttpRequest request;
  request.method = std::string("GET");
  request.target = target;
  request.hosts = {host};
  request.loopback_peer = true;
  return request;
}

class RouterTest : public ::testing::Test {
 protected:
  RouterTest() {
    open_ = *Tenants::Open("");
    guarded_ = *Tenants::Open(folder_.Write("tokens", "token-one ann\n"));
  }

  static std::unique_ptr<Router> Make(const Tenants* tenants, bool metrics_open, bool ready = false,
                                      const std::string& note = "") {
    auto router = std::make_unique<Router>(tenants, std::vector<std::string>{"Ops.Example"});
    OpsRoutes ops;
    ops.metrics = [] { return std::string("metrics here\n"); };
    ops.ready = [ready] { return ready; };
    ops.note = [note] { return note; };
    ops.metrics_open = metrics_open;
    AddOpsRoutes(ops, router.get());
    return router;
  }

  const testing::TempFolder folder_;
  std::unique_ptr<Tenants> open_;
  std::unique_ptr<Tenants> guarded_;
};

TEST_F(RouterTest, FindsRoutesByPathAndMethod) {
  const auto router = Make(open_.get(), true);
  EXPECT_EQ(router->Handle(Get("/metrics")).body, "metrics here\n");
  EXPECT_EQ(router->Handle(Get("/metrics?x=1")).status, 200);
  EXPECT_EQ(router->Handle(Get("/healthz")).status, 200);
  EXPECT_EQ(router->Handle(Get("/readyz")).status, 503);
  EXPECT_EQ(router->Handle(Get("/")).status, 404);
  EXPECT_EQ(router->Handle(Get("/metrics/")).status, 404);
  EXPECT_EQ(router->Handle(Get("/../metrics")).status, 404);
  EXPECT_EQ(router->Handle(Get("http://localhost/metrics")).status, 400);
  EXPECT_EQ(router->Handle(Get("*")).status, 400);
  EXPECT_EQ(router->Handle(Get("")).status, 400);
  HttpRequest post = Get("/metrics");
  post.method = std::string("POST");
  const HttpResponse refused = router->Handle(post);
  EXPECT_EQ(refused.status, 405);
  EXPECT_THAT(refused.headers, ::testing::Contains(::testing::Pair("Allow", "GET")));
  HttpRequest head = Get("/metrics");
  head.method = std::string("HEAD");
  EXPECT_EQ(router->Handle(head).status, 200);
}

TEST_F(RouterTest, ReadinessSaysWhatIsNotAsItShouldBe) {
  const auto body = [&](bool ready, const std::string& note) {
    return Make(open_.get(), true, ready, note)->Handle(Get("/readyz"));
  };
  EXPECT_EQ(body(true, "").body, "ready\n");
  EXPECT_EQ(body(true, "kernels are off").body, "ready\nkernels are off\n");
  EXPECT_EQ(body(true, "kernels are off").status, 200);
  EXPECT_EQ(body(false, "kernels are off").body, "not ready\n");
}

TEST_F(RouterTest, AnswersOnlyToItsOwnNames) {
  const auto router = Make(open_.get(), true);
  for (const char* host : {"localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:8080", "10.1.2.3",
                           "[::1]:8080", "[::1]", "ops.example", "OPS.example:80"}) {
    EXPECT_EQ(router->Handle(Get("/healthz", host)).status, 200) << host;
  }
  for (const char* host : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "",
                           "localhost:x", "[::1", "localhost:80:80", "ops.example.evil"}) {
    EXPECT_EQ(router->Handle(Get("/healthz", host)).status, 403) << host;
  }
  HttpRequest none = Get("/healthz");
  none.hosts.clear();
  EXPECT_EQ(router->Handle(none).status, 400);
  HttpRequest two = Get("/healthz");
  two.hosts = {"localhost", "evil.example"};
  EXPECT_EQ(router->Handle(two).status, 400);
}

TEST_F(RouterTest, MetricsWantATokenUnlessTheyAreOpen) {
  HttpRequest with_token = Get("/metrics");
  with_token.authorizations = {"Bearer token-one"};
  HttpRequest two_tokens = with_token;
  two_tokens.authorizations.emplace_back("Bearer token-one");
  const auto closed = Make(guarded_.get(), false);
  const HttpResponse refused = closed->Handle(Get("/metrics"));
  EXPECT_EQ(refused.status, 401);
  EXPECT_THAT(refused.headers, ::testing::Contains(::testing::Pair("WWW-Authenticate", "Bearer")));
  EXPECT_EQ(closed->Handle(with_token).status, 200);
  EXPECT_EQ(closed->Handle(two_tokens).status, 401);
  EXPECT_EQ(closed->Handle(Get("/healthz")).status, 200) << "probes carry no tokens";
  EXPECT_EQ(Make(guarded_.get(), true)->Handle(Get("/metrics")).status, 200);
  EXPECT_EQ(Make(open_.get(), false)->Handle(Get("/metrics")).status, 200);
}

// A connection that sends bytes as they are.
class RawConnection {
 public:
  explicit RawConnection(const TestDaemon& daemon) : socket_(io_) {
    const std::string address = const_cast<TestDaemon&>(daemon).daemon().http_address();
    const auto listen = ParseListenAddress(address);
    socket_.connect(tcp::endpoint(boost::asio::ip::make_address(listen->host), listen->port));
  }
  void Send(const std::string& bytes) {
    boost::system::error_code ignored;  // the server may have closed already
    boost::asio::write(socket_, boost::asio::buffer(bytes), ignored);
  }
  // All that comes until the server closes.
  std::string ReadAll() {
    std::string all;
    boost::system::error_code error;
    boost::asio::read(socket_, boost::asio::dynamic_buffer(all), error);
    return all;
  }
  std::string ReadSome() {
    char buffer[4096];
    boost::system::error_code error;
    const size_t bytes = socket_.read_some(boost::asio::buffer(buffer), error);
    return std::string(buffer, bytes);
  }

 private:
  boost::asio::io_context io_;
  tcp::socket socket_;
};

std::string RequestText(const std::string& target, const std::string& more = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + more + "\r\n";
}

TEST(HttpServer, ServesAndKeepsTheConnection) {
  TestDaemon daemon;
  RawConnection connection(daemon);
  connection.Send(RequestText("/healthz"));
  EXPECT_THAT(connection.ReadSome(), StartsWith("HTTP/1.1 200 OK\r\n"));
  connection.Send(RequestText("/metrics", "Connection: close\r\n"));
  const std::string answer = connection.ReadAll();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(answer, HasSubstr("ssmd_state_slots{model=\"m\",state=\"used\"} 3"));
}

TEST(HttpServer, HeadDescribesTheBodyAndDoesNotSendIt) {
  TestDaemon daemon;
  RawConnection connection(daemon);
  connection.Send("HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const std::string answer = connection.ReadAll();
  EXPECT_THAT(answer, HasSubstr("Content-Length: 3\r\n"));
  EXPECT_THAT(answer, ::testing::EndsWith("\r\n\r\n"));
}

TEST(HttpServer, ReadyUntilItDrains) {
  TestDaemon daemon;
  RawConnection before(daemon);
  before.Send(RequestText("/readyz", "Connection: close\r\n"));
  EXPECT_THAT(before.ReadAll(), StartsWith("HTTP/1.1 200 "));
  daemon.daemon().Drain();
  RawConnection after(daemon);
  after.Send(RequestText("/readyz", "Connection: close\r\n"));
  EXPECT_THAT(after.ReadAll(), StartsWith("HTTP/1.1 503 "));
}

TEST(HttpServer, HostileRequestsGetAClearAnswer) {
  Options options;
  options.server.http_header_bytes = 1024;
  options.server.http_body_bytes = 100;
  TestDaemon daemon(options);
  const struct {
    std::string request;
    const char* answer;
  } kCases[] = {
      {"nonsense\r\n\r\n", "HTTP/1.1 400 "},
      {"GET /healthz HTTP/9.9\r\nHost: localhost\r\n\r\n", "HTTP/1.1 400 "},
      {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n", "HTTP/1.1 400 "},
      {RequestText("/healthz", "Content-Length: 5\r\nContent-Length: 6\r\n"), "HTTP/1.1 400 "},
      {RequestText("/healthz", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
       "HTTP/1.1 400 "},
      {RequestText("/healthz", "Transfer-Encoding: chunked\r\n") + "ffffffffffffffffff\r\n",
       "HTTP/1.1 400 "},
      {RequestText("/healthz", "X: " + std::string(2000, 'x') + "\r\n"), "HTTP/1.1 431 "},
      {RequestText("/" + std::string(2000, 'x')), "HTTP/1.1 431 "},
      {RequestText("/healthz", "Content-Length: 101\r\n") + std::string(101, 'x'), "HTTP/1.1 413 "},
      {"GET /healthz HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
  };
  for (const auto& test : kCases) {
    RawConnection connection(daemon);
    connection.Send(test.request);
    EXPECT_THAT(connection.ReadSome(), StartsWith(test.answer)) << test.request.substr(0, 80);
  }
}

TEST(HttpServer, BodiesUpToTheLimitAreRead) {
  Options options;
  options.server.http_body_bytes = 100;
  TestDaemon daemon(options);
  for (const int bytes : {99, 100}) {
    RawConnection connection(daemon);
    connection.Send(RequestText("/healthz", "Connection: close\r\nContent-Length: " +
                                                std::to_string(bytes) + "\r\n") +
                    std::string(static_cast<size_t>(bytes), 'x'));
    EXPECT_THAT(connection.ReadAll(), StartsWith("HTTP/1.1 200 ")) << bytes;
  }
}

TEST(HttpServer, AConnectionThatSaysNothingIsClosed) {
  Options options;
  options.server.http_timeout = std::chrono::milliseconds(50);
  TestDaemon daemon(options);
  RawConnection silent(daemon);
  EXPECT_EQ(silent.ReadAll(), "");
  RawConnection dawdling(daemon);
  dawdling.Send("GET /healthz HTTP/1.1\r\nHost: local");
  EXPECT_EQ(dawdling.ReadAll(), "");
}

TEST(HttpServer, ConnectionsHaveALimitAndComeBack) {
  Options options;
  options.server.http_connections = 2;
  TestDaemon daemon(options);
  auto first = std::make_unique<RawConnection>(daemon);
  RawConnection second(daemon);
  for (RawConnection* connection : {first.get(), &second}) {
    connection->Send(RequestText("/healthz"));
    EXPECT_THAT(connection->ReadSome(), StartsWith("HTTP/1.1 200 "));
  }
  RawConnection third(daemon);
  third.Send(RequestText("/healthz"));
  const std::string refusal = third.ReadAll();
  EXPECT_THAT(refusal, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(refusal, HasSubstr("Retry-After: 1\r\n"));
  EXPECT_THAT(refusal, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(refusal, HasSubstr("--max-http-connections"));
  first.reset();
  EXPECT_TRUE(Eventually([&] {
    RawConnection again(daemon);
    again.Send(RequestText("/healthz", "Connection: close\r\n"));
    return again.ReadAll().rfind("HTTP/1.1 200 ", 0) == 0;
  }));
}

TEST(HttpServer, ConnectionsThatAreToldSoHaveALimitToo) {
  Options options;
  options.server.http_connections = 1;
  TestDaemon daemon(options);
  RawConnection served(daemon);
  served.Send(RequestText("/healthz"));
  EXPECT_THAT(served.ReadSome(), StartsWith("HTTP/1.1 200 "));
  std::vector<std::unique_ptr<RawConnection>> silent(64);
  for (auto& connection : silent) connection = std::make_unique<RawConnection>(daemon);
  EXPECT_EQ(RawConnection(daemon).ReadAll(), "") << "closed at once";
  silent.front()->Send(RequestText("/healthz"));
  EXPECT_THAT(silent.front()->ReadAll(), StartsWith("HTTP/1.1 503 "));
  served.Send(RequestText("/healthz"));
  EXPECT_THAT(served.ReadSome(), StartsWith("HTTP/1.1 200 ")) << "those who are in are served on";
}

// A self-signed certificate of localhost and its key, made anew.
TlsFiles MakeTlsFiles(const testing::TempFolder& folder) {
  TlsFiles files{folder.File("cert.pem"), folder.File("key.pem"), ""};
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_sign(certificate, key, EVP_sha256());
  std::FILE* out = std::fopen(files.certificate.c_str(), "w");
  PEM_write_X509(out, certificate);
  std::fclose(out);
  out = std::fopen(files.key.c_str(), "w");
  PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(out);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return files;
}

absl::StatusOr<std::unique_ptr<HttpServer>> StartTls(const TlsFiles& files, const Router* router) {
  HttpServer::Config config;
  config.listen.host = std::string("127.0.0.1");
  config.tls = files;
  return HttpServer::Start(config, router);
}

TEST(HttpServer, ServesTlsFromFilesAndNoPlaintextThen) {
  const testing::TempFolder folder;
  const TlsFiles files = MakeTlsFiles(folder);
  const Router router(nullptr, {});
  const auto server = StartTls(files, &router);
  ASSERT_TRUE(server.ok()) << server.status();
  const tcp::endpoint endpoint(boost::asio::ip::make_address("127.0.0.1"), (*server)->port());
  boost::asio::io_context io;
  boost::system::error_code error;

  boost::asio::ssl::context trust(boost::asio::ssl::context::tls_client);
  trust.load_verify_file(files.certificate);
  trust.set_verify_mode(boost::asio::ssl::verify_peer);
  boost::asio::ssl::stream<tcp::socket> encrypted(io, trust);
  encrypted.next_layer().connect(endpoint);
  encrypted.handshake(boost::asio::ssl::stream_base::client, error);
  ASSERT_FALSE(error) << error.message();
  boost::asio::write(encrypted, boost::asio::buffer(RequestText("/x", "Connection: close\r\n")));
  std::string answer;
  boost::asio::read(encrypted, boost::asio::dynamic_buffer(answer), error);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 404 "));

  tcp::socket plain(io);
  plain.connect(endpoint);
  boost::asio::write(plain, boost::asio::buffer(RequestText("/x")), error);
  answer.clear();
  boost::asio::read(plain, boost::asio::dynamic_buffer(answer), error);
  EXPECT_THAT(answer, ::testing::Not(HasSubstr("HTTP/1.1")));
}

TEST(HttpServer, TlsFilesThatDoNotFitAreAnErrorThatNamesThem) {
  const testing::TempFolder folder;
  TlsFiles files = MakeTlsFiles(folder);
  std::swap(files.certificate, files.key);
  const Router router(nullptr, {});
  const auto server = StartTls(files, &router);
  ASSERT_FALSE(server.ok());
  EXPECT_THAT(std::string(server.status().message()), StartsWith("--tls-cert "));
}

TEST(HttpServer, APortThatIsTakenIsAnError) {
  TestDaemon daemon;
  const auto taken = ParseListenAddress(daemon.daemon().http_address());
  const Router router(nullptr, {});
  HttpServer::Config config;
  config.listen = *taken;
  const auto second = HttpServer::Start(config, &router);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("cannot listen on --http-listen"));
}

}  // namespace
}  // namespace ssmd::server
