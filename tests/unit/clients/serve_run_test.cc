// The load tool against servers of OpenAI's kind that a test puppeteers, over real sockets.
#include "clients/bench/serve_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <atomic>
#include <fstream>
#include <set>
#include <tuple>

#include "clients/bench/http_client.h"
#include "tests/unit/clients/mock_openai.h"

namespace ssmd::bench {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class ServeRunTest : public ::testing::Test {
 protected:
  ServeRunTest() {
    options_.workload.prompt = "Once";
    options_.workload.max_tokens = Distribution(3);
    options_.load.duration = std::chrono::seconds(600);
    options_.load.requests = 1;
  }

  LoadReport Load(const MockOpenAi& server) {
    ServerOptions one;
    one.connect.server = server.url();
    options_.servers = {one};
    auto reports = RunServe(options_);
    EXPECT_TRUE(reports.ok()) << reports.error().message;
    return reports.ok() ? reports.value()[0].Total() : LoadReport();
  }
  // The code of the error that one answer makes.
  std::string ErrorOf(const MockAnswer& answer) {
    const MockOpenAi server([&](const auto&) { return answer; });
    const LoadReport report = Load(server);
    EXPECT_EQ(report.succeeded, 0);
    EXPECT_THAT(report.errors, SizeIs(1));
    if (report.errors.size() != 1) return "";
    return report.errors.begin()->first + ": " + report.error_messages.begin()->second;
  }

  ServeOptions options_;
};

std::string Bodies(const std::vector<MockRequest>& requests, size_t at) {
  return at < requests.size() ? requests[at].line + " " + requests[at].body : "";
}

TEST_F(ServeRunTest, CountsWhatAServerAnswers) {
  const MockOpenAi server([](const auto&) { return StreamOf({"a", "b", "c"}); });
  options_.load.streams = 3;
  options_.load.requests = 30;
  const LoadReport report = Load(server);
  EXPECT_EQ(report.succeeded, 30);
  EXPECT_THAT(report.errors, SizeIs(0));
  EXPECT_EQ(report.generated_tokens, 90);
  EXPECT_EQ(report.prompt_tokens, 120);
  EXPECT_THAT(report.first_token_ms.kept(), SizeIs(30));
  EXPECT_THAT(report.inter_token_ms.kept(), SizeIs(60));
  EXPECT_LE(server.connections(), 3u);  // kept and used again
  EXPECT_THAT(Bodies(server.requests(), 0),
              AllOf(StartsWith("POST /v1/completions {"), HasSubstr(R"("model":"mock")"),
                    HasSubstr(R"("prompt":"Once")"), HasSubstr(R"("max_tokens":3)"),
                    HasSubstr(R"("ignore_eos":true)"), HasSubstr(R"("stream":true)"),
                    Not(HasSubstr("store")), Not(HasSubstr("ssmd"))));
}

TEST_F(ServeRunTest, CountsPiecesWhereAServerDoesNotSayWhatItUsed) {
  const MockOpenAi server([](const auto&) {
    MockAnswer answer = StreamOf({"a", "b"});
    answer.pieces.erase(answer.pieces.begin() + 3);
    return answer;
  });
  EXPECT_EQ(Load(server).generated_tokens, 2);
}

TEST_F(ServeRunTest, AnOpenLoopOverHttp) {
  const MockOpenAi server([](const auto&) { return StreamOf({"a"}); });
  options_.load.streams = 8;
  options_.load.rate = 2000;
  options_.load.arrivals = Arrivals::Kind::kPoisson;
  options_.load.requests = 50;
  EXPECT_EQ(Load(server).succeeded, 50);
}

TEST_F(ServeRunTest, ResendsAWholeChatToAServerThatKeepsNothing) {
  const MockOpenAi server([](const auto&) {
    MockAnswer answer;
    answer.pieces = {R"(data: {"choices":[{"delta":{"role":"assistant","content":""}}]})"
                     "\n\n",
                     R"(data: {"choices":[{"delta":{"content":"Hel"}}]})"
                     "\n\n",
                     R"(data: {"choices":[{"delta":{"content":"lo"}}]})"
                     "\n\n",
                     R"(data: {"choices":[{"delta":{},"finish_reason":"stop"}]})"
                     "\n\ndata: [DONE]\n\n"};
    return answer;
  });
  options_.ask.chat = true;
  options_.workload.conversations = {{"Be kind.", {"Hi", "Bye"}}};
  options_.load.requests = 2;
  const LoadReport report = Load(server);
  EXPECT_EQ(report.succeeded, 2);
  EXPECT_THAT(report.first_token_by_turn, SizeIs(2));
  EXPECT_THAT(Bodies(server.requests(), 1),
              AllOf(StartsWith("POST /v1/chat/completions"),
                    HasSubstr(R"("messages":[{"role":"system","content":"Be kind."},)"
                              R"({"role":"user","content":"Hi"},)"
                              R"({"role":"assistant","content":"Hello"},)"
                              R"({"role":"user","content":"Bye"}])")));
}

TEST_F(ServeRunTest, ResendsAGrowingPrompt) {
  const MockOpenAi server([](const auto&) { return StreamOf({" a", " b"}); });
  options_.workload.turns = Distribution(3);
  options_.load.requests = 3;
  EXPECT_EQ(Load(server).succeeded, 3);
  EXPECT_THAT(Bodies(server.requests(), 2), HasSubstr(R"("prompt":"Once a bOnce a bOnce")"));
}

TEST_F(ServeRunTest, GoesOnWithASessionOfSsmdAndDeletesIt) {
  const MockOpenAi server(
      [](const auto&) { return StreamOf({"a"}, R"(,"ssmd":{"session_id":"beef"})"); }, "ssmd");
  options_.workload.turns = Distribution(2);
  options_.load.requests = 2;
  EXPECT_EQ(Load(server).succeeded, 2);
  const auto requests = server.requests();
  ASSERT_THAT(requests, SizeIs(3));
  EXPECT_THAT(requests[0].body, AllOf(HasSubstr(R"("store":true)"), Not(HasSubstr("session_id"))));
  EXPECT_THAT(requests[1].body, AllOf(HasSubstr(R"("ssmd":{"session_id":"beef"})"),
                                      HasSubstr(R"("prompt":"Once")"), Not(HasSubstr("store"))));
  EXPECT_EQ(requests[2].line, "DELETE /v1/sessions/beef");
}

TEST_F(ServeRunTest, GoesOnFromTheParentAndDeletesEverySession) {
  std::atomic<int> count = 0;
  const MockOpenAi server([&](const auto&) {
    return StreamOf({"a"}, R"(,"ssmd":{"session_id":"s)" + std::to_string(++count) + "\"}");
  });
  options_.history = History::kParent;
  options_.workload.turns = Distribution(2);
  options_.load.requests = 2;
  EXPECT_EQ(Load(server).succeeded, 2);
  const auto requests = server.requests();
  ASSERT_THAT(requests, SizeIs(4));
  EXPECT_THAT(requests[1].body, HasSubstr(R"("ssmd":{"parent_id":"cmpl-1"})"));
  EXPECT_EQ(requests[2].line, "DELETE /v1/sessions/s2");
  EXPECT_EQ(requests[3].line, "DELETE /v1/sessions/s1");
}

TEST_F(ServeRunTest, WhatAServerDoesWrongIsAnErrorOfTheRequest) {
  using Pieces = std::vector<std::string>;
  const auto stream = [](Pieces pieces) {
    return MockAnswer{200, "text/event-stream", std::move(pieces)};
  };
  EXPECT_EQ(ErrorOf({429, "application/json", {R"({"error":{"message":"full"}})"}}),
            "HTTP_429: full");
  EXPECT_EQ(ErrorOf({500, "text/html", {"<p>oh"}}), "HTTP_500: <p>oh");
  EXPECT_THAT(ErrorOf({200, "application/json", {"{}"}}), StartsWith("MALFORMED: no event stream"));
  EXPECT_THAT(ErrorOf(stream({"data: {\"choices\":[\n\n"})), StartsWith("MALFORMED"));
  EXPECT_THAT(ErrorOf(stream({"data: 7\n\n"})), StartsWith("MALFORMED"));
  EXPECT_THAT(ErrorOf(stream({"data: {\"choices\":[\xff]}\n\n"})), StartsWith("MALFORMED"));
  EXPECT_THAT(ErrorOf(stream({"data: " + std::string(5000, '[') + "\n\n"})),
              StartsWith("MALFORMED"));
  EXPECT_THAT(ErrorOf(stream({std::string(3 << 20, 'x')})), StartsWith("MALFORMED"));
  EXPECT_EQ(ErrorOf(stream({"data: {\"error\":{\"message\":\"bad\",\"code\":\"numerical\"}}\n\n"})),
            "numerical: bad");
  EXPECT_EQ(ErrorOf(stream({"data: {\"error\":{\"message\":\"bad\",\"code\":503}}\n\n"})),
            "HTTP_503: bad");
  EXPECT_THAT(ErrorOf(stream({R"(data: {"choices":[{"text":"a"}]})"
                              "\n\n"})),
              StartsWith("INCOMPLETE"));
  EXPECT_THAT(ErrorOf({200, "text/event-stream", {"data: {\"choices\":[]}\n\n"}, true}),
              StartsWith("UNAVAILABLE"));
}

TEST_F(ServeRunTest, ComparesTwoServersInTurn) {
  const MockOpenAi first([](const auto&) { return StreamOf({"a", "b"}); });
  const MockOpenAi second([](const auto&) { return StreamOf({"a"}); });
  for (const MockOpenAi* server : {&first, &second}) {
    ServerOptions one;
    one.connect.server = server->url();
    options_.servers.push_back(one);
  }
  options_.rounds = 3;
  options_.load.requests = 4;
  options_.workload.lengths = true;
  options_.workload.prompt_tokens = Distribution(5);
  auto reports = RunServe(options_);
  ASSERT_TRUE(reports.ok()) << reports.error().message;
  ASSERT_THAT(reports.value(), SizeIs(2));
  EXPECT_THAT(reports.value()[0].rounds, SizeIs(3));
  EXPECT_EQ(reports.value()[0].Total().generated_tokens, 24);
  EXPECT_EQ(reports.value()[1].Total().generated_tokens, 12);
  // Both were asked the same, and nothing twice.
  const auto asked = first.requests();
  const auto asked_too = second.requests();
  ASSERT_THAT(asked, SizeIs(12));
  ASSERT_THAT(asked_too, SizeIs(12));
  std::set<std::string> bodies;
  for (size_t i = 0; i < asked.size(); ++i) {
    EXPECT_EQ(asked[i].body, asked_too[i].body);
    bodies.insert(asked[i].body);
  }
  EXPECT_THAT(bodies, SizeIs(12));
}

TEST_F(ServeRunTest, TokensAreForTheServerThatTheyWereGivenFor) {
  const MockOpenAi first([](const auto&) { return StreamOf({"a"}); });
  const MockOpenAi second([](const auto&) { return StreamOf({"a"}); });
  const std::string token_file = testing::TempDir() + "/serve_run_test_token";
  std::ofstream(token_file) << "secret\n";
  ServerOptions one;
  one.connect.server = first.url();
  one.connect.token_file = token_file;
  ServerOptions other;
  other.connect.server = second.url();
  other.token_of_environment = false;
  options_.servers = {one, other};
  ASSERT_TRUE(RunServe(options_).ok());
  EXPECT_EQ(first.requests().at(0).authorization, "Bearer secret");
  EXPECT_EQ(second.requests().at(0).authorization, "");
  // And not in plaintext to other machines.
  one.connect.server = "http://192.0.2.1:80";
  options_.servers = {one};
  const auto reports = RunServe(options_);
  ASSERT_FALSE(reports.ok());
  EXPECT_THAT(reports.error().message, HasSubstr("plaintext"));
}

TEST_F(ServeRunTest, ServersThatCannotBeLoadedAreErrorsThatSayWhatToDo) {
  const MockOpenAi server([](const auto&) { return StreamOf({"a"}); }, "ssmd");
  const std::tuple<std::string, std::string, const char*> cases[] = {
      {"http://127.0.0.1:1", "", "is the server running"},
      {"127.0.0.1:1", "", "is the daemon running"},
      {server.url(), "other", "name one of mock"},
      {"https://127.0.0.1:1", "", "needs TLS"},
      {"http://:80", "", "http://HOST:PORT"},
      {"ftp://x:80", "", "http://HOST:PORT"},
      {"nonsense", "", "HOST:PORT"},
  };
  for (const auto& [address, model, message] : cases) {
    ServerOptions one;
    one.connect.server = address;
    one.model = model;
    options_.servers = {one};
    const auto reports = RunServe(options_);
    ASSERT_FALSE(reports.ok()) << address;
    EXPECT_THAT(reports.error().message, HasSubstr(message));
  }
}

TEST(HttpAddress, TakesWhatPeopleWrite) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"http://127.0.0.1:8080", "127.0.0.1:8080", "/v1"},
      {"http://host", "host:80", "/v1"},
      {"http://host:1/v1/", "host:1", "/v1"},
      {"http://[::1]:99/openai/v1", "[::1]:99", "/openai/v1"},
      {"http://[::1]", "[::1]:80", "/v1"},
  };
  for (const auto& [url, authority, base] : cases) {
    const auto address = HttpAddress::Parse(url);
    ASSERT_TRUE(address.ok()) << url;
    EXPECT_EQ(address.value().authority(), authority);
    EXPECT_EQ(address.value().base, base);
  }
}

}  // namespace
}  // namespace ssmd::bench
