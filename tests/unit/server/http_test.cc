// The router's checks, and the HTTP listener over real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <thread>

#include "server/access/certificates.h"
#include "server/http/ops_routes.h"
#include "server/http/router.h"
#include "tests/support/eventually.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tls_files.h"
#include "tests/unit/server/raw_connection.h"
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
  request.peer.loopback = true;
  return request;
}

// What a handler makes of a request, without a connection.
class FakeExchange final : public Exchange {
 public:
  void Respond(HttpResponse response) override { answer = std::move(response); }
  void Begin(HttpResponse, std::string) override {}
  void Write(std::string, Written written) override { written(true); }
  void End() override {}
  void OnGone(std::function<void()>) override {}
  void Post(std::function<void()> work) override { work(); }
  HttpResponse answer;
};

HttpResponse Ask(const Router& router, HttpRequest request) {
  const auto exchange = std::make_shared<FakeExchange>();
  router.Handle(std::move(request), exchange);
  return exchange->answer;
}

class RouterTest : public ::testing::Test {
 protected:
  RouterTest() {
    open_ = *Tenants::Open("");
    guarded_ = *Tenants::Open(folder_.Write("tokens", "token-one ann\n"));
  }

  static std::unique_ptr<Router> Make(const Tenants* tenants, bool metrics_open, bool ready = false,
                                      const std::string& note = "", bool alive = true) {
    auto router =
        std::make_unique<Router>(tenants, Router::Config{{"Ops.Example"}, {"https://App.example"}});
    OpsRoutes ops;
    ops.metrics = [] { return std::string("metrics here\n"); };
    ops.alive = [alive] { return alive; };
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
  EXPECT_EQ(Ask(*router, Get("/metrics")).body, "metrics here\n");
  EXPECT_EQ(Ask(*router, Get("/metrics?x=1")).status, 200);
  EXPECT_EQ(Ask(*router, Get("/healthz")).status, 200);
  EXPECT_EQ(Ask(*router, Get("/readyz")).status, 503);
  EXPECT_EQ(Ask(*router, Get("/")).status, 404);
  EXPECT_EQ(Ask(*router, Get("/metrics/")).status, 404);
  EXPECT_EQ(Ask(*router, Get("/../metrics")).status, 404);
  EXPECT_EQ(Ask(*router, Get("http://localhost/metrics")).status, 400);
  EXPECT_EQ(Ask(*router, Get("*")).status, 400);
  EXPECT_EQ(Ask(*router, Get("")).status, 400);
  HttpRequest post = Get("/metrics");
  post.method = std::string("POST");
  const HttpResponse refused = Ask(*router, post);
  EXPECT_EQ(refused.status, 405);
  EXPECT_THAT(refused.headers, ::testing::Contains(::testing::Pair("Allow", "GET")));
  HttpRequest head = Get("/metrics");
  head.method = std::string("HEAD");
  EXPECT_EQ(Ask(*router, head).status, 200);
}

TEST_F(RouterTest, AStepThatDoesNotEndIsIllHealth) {
  const auto router = Make(open_.get(), true, /*ready=*/true, "", /*alive=*/false);
  EXPECT_EQ(Ask(*router, Get("/healthz")).status, 503);
  EXPECT_EQ(Ask(*router, Get("/healthz")).body, "a step is stuck\n");
  EXPECT_EQ(Ask(*router, Get("/readyz")).status, 200);
}

TEST_F(RouterTest, ReadinessSaysWhatIsNotAsItShouldBe) {
  const auto body = [&](bool ready, const std::string& note) {
    return Ask(*Make(open_.get(), true, ready, note), Get("/readyz"));
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
    EXPECT_EQ(Ask(*router, Get("/healthz", host)).status, 200) << host;
  }
  for (const char* host : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "",
                           "localhost:x", "[::1", "localhost:80:80", "ops.example.evil"}) {
    EXPECT_EQ(Ask(*router, Get("/healthz", host)).status, 403) << host;
  }
  HttpRequest none = Get("/healthz");
  none.hosts.clear();
  EXPECT_EQ(Ask(*router, none).status, 400);
  HttpRequest two = Get("/healthz");
  two.hosts = {"localhost", "evil.example"};
  EXPECT_EQ(Ask(*router, two).status, 400);
}

TEST_F(RouterTest, MetricsWantATokenUnlessTheyAreOpen) {
  HttpRequest with_token = Get("/metrics");
  with_token.authorizations = {"Bearer token-one"};
  HttpRequest two_tokens = with_token;
  two_tokens.authorizations.emplace_back("Bearer token-one");
  const auto closed = Make(guarded_.get(), false);
  const HttpResponse refused = Ask(*closed, Get("/metrics"));
  EXPECT_EQ(refused.status, 401);
  EXPECT_THAT(refused.headers, ::testing::Contains(::testing::Pair("WWW-Authenticate", "Bearer")));
  EXPECT_EQ(Ask(*closed, with_token).status, 200);
  EXPECT_EQ(Ask(*closed, two_tokens).status, 401);
  EXPECT_EQ(Ask(*closed, Get("/healthz")).status, 200) << "probes carry no tokens";
  EXPECT_EQ(Ask(*Make(guarded_.get(), true), Get("/metrics")).status, 200);
  EXPECT_EQ(Ask(*Make(open_.get(), false), Get("/metrics")).status, 200);
}

TEST_F(RouterTest, OnlyItsOwnPagesAndThoseOnTheListMayAsk) {
  const auto router = Make(open_.get(), true);
  const auto from = [&](const std::string& origin) {
    HttpRequest request = Get("/metrics", "localhost:8080");
    request.origins = {origin};
    return Ask(*router, request).status;
  };
  EXPECT_EQ(from("http://localhost:8080"), 200);
  EXPECT_EQ(from("https://app.example"), 200);
  for (const char* other : {"http://localhost:8081", "http://app.example", "https://evil.example",
                            "null", "", "https://app.example.evil.example"}) {
    EXPECT_EQ(from(other), 403) << other;
  }
  HttpRequest listed = Get("/metrics");
  listed.origins = {"https://app.example"};
  EXPECT_THAT(router->CorsOf(listed), ::testing::Contains(::testing::Pair(
                                          "Access-Control-Allow-Origin", "https://app.example")));
  HttpRequest own = Get("/metrics", "localhost:8080");
  own.origins = {"http://localhost:8080"};
  EXPECT_THAT(router->CorsOf(own), ::testing::IsEmpty());
  listed.method = std::string("OPTIONS");
  const HttpResponse preflight = Ask(*router, listed);
  EXPECT_EQ(preflight.status, 204);
  EXPECT_THAT(preflight.headers,
              ::testing::Contains(::testing::Pair("Access-Control-Allow-Methods", "GET")));
}

TEST_F(RouterTest, PathsMayNameThings) {
  Router router(open_.get(), {});
  const auto add = [&router](const char* path, const std::string& says) {
    router.AddGet(path, Router::Access::kOpen, [says](const HttpRequest& request, const Caller&) {
      const auto id = request.path_values.find("id");
      return PlainResponse(200, says + (id == request.path_values.end() ? "" : ":" + id->second));
    });
  };
  add("/things/{id}", "one");
  add("/things/new", "new");
  add("/things/{id}/parts", "parts");
  EXPECT_EQ(Ask(router, Get("/things/7")).body, "one:7\n");
  EXPECT_EQ(Ask(router, Get("/things/new?x=1")).body, "new\n");
  EXPECT_EQ(Ask(router, Get("/things/a%2Fb/parts")).body, "parts:a%2Fb\n");
  for (const char* none : {"/things", "/things/", "/things//parts", "/things/7/parts/", "//"}) {
    EXPECT_EQ(Ask(router, Get(none)).status, 404) << none;
  }
}

TEST_F(RouterTest, BodiesAreOfTheTypeThatARouteTakes) {
  Router router(open_.get(), {});
  Router::Route route;
  route.method = std::string("POST");
  route.path = std::string("/v1/x");
  route.body = Router::Body::kJson;
  route.handler = [](HttpRequest, const Caller&, const std::shared_ptr<Exchange>& exchange) {
    exchange->Respond(PlainResponse(200, "taken"));
  };
  router.Add(route);
  const auto with = [&router](const std::string& type) {
    HttpRequest request = Get("/v1/x");
    request.method = std::string("POST");
    request.content_type = type;
    return Ask(router, request).status;
  };
  EXPECT_EQ(with("application/json"), 200);
  EXPECT_EQ(with("Application/JSON ; charset=utf-8"), 200);
  // What a form of any page may send without being asked.
  for (const char* type : {"", "text/plain", "application/x-www-form-urlencoded",
                           "multipart/form-data", "application/jsonx"}) {
    EXPECT_EQ(with(type), 415) << type;
  }
}

TEST(HttpRequest, QueriesAreDecoded) {
  const HttpRequest request = Get("/x?a=1&b=%41+%zz&a=2&c&=d&%61b=e");
  EXPECT_EQ(request.Query("a"), "1");
  EXPECT_EQ(request.Query("b"), "A %zz");
  EXPECT_EQ(request.Query("c"), "");
  EXPECT_EQ(request.Query("ab"), "e");
  EXPECT_EQ(request.Query("d"), std::nullopt);
  EXPECT_EQ(Get("/x").Query("a"), std::nullopt);
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

TEST(HttpServer, AConnectionIsClosedWhenNoFurtherRequestComes) {
  Options options;
  options.server.http_idle_timeout = std::chrono::milliseconds(50);
  TestDaemon daemon(options);
  RawConnection connection(daemon);
  connection.Send(RequestText("/healthz"));
  EXPECT_THAT(connection.ReadSome(), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(connection.ReadAll(), "");
}

TEST(HttpServer, RequestsThatComeTogetherAreAnsweredInTurn) {
  TestDaemon daemon;
  RawConnection connection(daemon);
  connection.Send(RequestText("/healthz") + RequestText("/readyz") +
                  RequestText("/healthz", "Connection: close\r\n"));
  const std::string answers = connection.ReadAll();
  size_t at = 0;
  for (const char* body : {"\r\nok\n", "\r\nready\n", "\r\nok\n"}) {
    at = answers.find(body, at);
    ASSERT_NE(at, std::string::npos) << answers;
    ++at;
  }
}

TEST(HttpServer, ABodyIsAskedForWhereTheCallerWaitsForThat) {
  TestDaemon daemon;
  RawConnection connection(daemon);
  connection.Send(RequestText(
      "/healthz", "Connection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"));
  EXPECT_EQ(connection.ReadSome(), "HTTP/1.1 100 Continue\r\n\r\n");
  connection.Send("xx");
  EXPECT_THAT(connection.ReadAll(), StartsWith("HTTP/1.1 200 "));
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

// A server of one route, whose requests are given to `handle` on a thread of their own.
class LateServer {
 public:
  using Handle = std::function<void(const std::shared_ptr<Exchange>&)>;
  explicit LateServer(Handle handle, ServerLimits limits = {}) : router_(tenants_.get(), {}) {
    Router::Route route;
    route.method = std::string("GET");
    route.path = std::string("/late");
    route.handler = [this, handle](HttpRequest, const Caller&,
                                   const std::shared_ptr<Exchange>& exchange) {
      threads_.emplace_back([handle, exchange] { handle(exchange); });
    };
    router_.Add(route);
    HttpServer::Config config;
    config.listen.host = std::string("127.0.0.1");
    config.limits = limits;
    server_ = *HttpServer::Start(config, &router_);
  }
  ~LateServer() {
    server_.reset();
    for (std::thread& thread : threads_) thread.join();
  }
  uint16_t port() const { return server_->port(); }

 private:
  const std::unique_ptr<Tenants> tenants_ = *Tenants::Open("");
  Router router_;
  std::vector<std::thread> threads_;  // on the HTTP thread until that is over
  std::unique_ptr<HttpServer> server_;
};

TEST(HttpServer, AnswersOfOtherThreadsAreNotLost) {
  LateServer server([](const std::shared_ptr<Exchange>& exchange) {
    exchange->Respond(PlainResponse(200, "late"));
  });
  RawConnection connection(server.port());
  for (int i = 0; i < 300; ++i) {
    connection.Send(RequestText("/late"));
    ASSERT_THAT(connection.ReadSome(), HasSubstr("late")) << i;
  }
}

TEST(HttpServer, AnAnswerThatNobodyGivesClosesTheConnection) {
  LateServer server([](const std::shared_ptr<Exchange>&) {});
  RawConnection connection(server.port());
  connection.Send(RequestText("/late"));
  EXPECT_EQ(connection.ReadAll(), "");
}

TEST(HttpServer, PiecesComeAsTheyAreWrittenAndIdleStreamsSaySo) {
  ServerLimits limits;
  limits.http_keep_alive = std::chrono::milliseconds(20);
  std::promise<void> enough;
  LateServer server(
      [&enough](const std::shared_ptr<Exchange>& exchange) {
        HttpResponse head;
        head.content_type = std::string("text/event-stream");
        exchange->Begin(head, ": idle\n\n");
        std::promise<bool> written;
        exchange->Write("data: 1\n\n", [&written](bool ok) { written.set_value(ok); });
        EXPECT_TRUE(written.get_future().get());
        enough.get_future().wait();
        exchange->Write("data: 2\n\n", [exchange](bool) { exchange->End(); });
      },
      limits);
  RawConnection connection(server.port());
  connection.Send(RequestText("/late", "Connection: close\r\n"));
  std::string text;
  while (text.find(": idle") == std::string::npos) text += connection.ReadSome();
  EXPECT_THAT(text, HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_THAT(text, HasSubstr("9\r\ndata: 1\n\n\r\n"));
  enough.set_value();
  EXPECT_THAT(connection.ReadAll(), ::testing::EndsWith("9\r\ndata: 2\n\n\r\n0\r\n\r\n"));
}

TEST(HttpServer, ACallerThatLeavesIsHeardOf) {
  std::promise<void> gone;
  std::promise<bool> written;
  LateServer server([&](const std::shared_ptr<Exchange>& exchange) {
    exchange->OnGone([&gone] { gone.set_value(); });
    gone.get_future().wait();
    exchange->Begin({}, "");
    exchange->Write("x", [&written, exchange](bool ok) { written.set_value(ok); });
  });
  {
    RawConnection connection(server.port());
    connection.Send(RequestText("/late"));
  }
  EXPECT_FALSE(written.get_future().get());
}

TEST(HttpServer, ItsEndEndsWhatIsUnderWay) {
  std::promise<void> asked, gone;
  auto server = std::make_unique<LateServer>([&](const std::shared_ptr<Exchange>& exchange) {
    exchange->OnGone([&gone] { gone.set_value(); });
    asked.set_value();
    gone.get_future().wait();
  });
  RawConnection connection(server->port());
  connection.Send(RequestText("/late"));
  asked.get_future().wait();
  server.reset();
  EXPECT_EQ(connection.ReadAll(), "");
}

TEST(HttpServer, ServesTlsFromFilesAndNoPlaintextThen) {
  const testing::TempFolder folder;
  const TlsFiles files = MakeTlsFiles(folder, "localhost");
  const Router router(nullptr, {});
  const auto certificates = *Certificates::Open(files);
  HttpServer::Config config;
  config.listen.host = std::string("127.0.0.1");
  config.certificates = certificates.get();
  const auto server = HttpServer::Start(config, &router);
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

TEST(HttpServer, APortThatIsTakenIsAnError) {
  TestDaemon daemon;
  const auto taken = ParseListenAddress(daemon.daemon().http_address());
  const Router router(nullptr, {});
  HttpServer::Config config;
  config.listen = *taken;
  const auto certificates = *Certificates::Open({});
  config.certificates = certificates.get();
  const auto second = HttpServer::Start(config, &router);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("cannot listen on --http-listen"));
}

}  // namespace
}  // namespace ssmd::server
