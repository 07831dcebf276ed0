// /metrics as a real Prometheus reads it, and compared with what a client measured itself.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <rapidjson/document.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <sstream>

#include "absl/strings/str_format.h"
#include "tests/support/daemon.h"
#include "tests/support/eventually.h"
#include "tests/support/turn.h"

namespace ssmd::test {
namespace {

using ::testing::HasSubstr;

// Sum of the samples of `series` (a name, or a name and some of its labels as they are written).
double Sample(const std::string& text, const std::string& name, const std::string& labels = "") {
  double sum = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t end = line.find_first_of("{ ");
    if (line.substr(0, end) != name || line.find(labels) == std::string::npos) continue;
    sum += std::stod(line.substr(line.rfind(' ') + 1));
  }
  return sum;
}

struct Measured {
  int requests = 0;
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
  double first_token_seconds = 0;
  double total_seconds = 0;
};

Measured Load(client::Client& client) {
  Measured measured;
  for (int i = 0; i < 25; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto since = [&] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    bool first = true;
    const auto error =
        client.Generate(SeededRequest("Once upon a time", 4 + i, static_cast<uint64_t>(i)), {},
                        [&](const v1::GenerateResponse& event) {
                          if (event.has_delta() && first) {
                            measured.first_token_seconds += since();
                            first = false;
                          }
                          if (!event.has_final()) return;
                          measured.prompt_tokens += event.final().usage().prompt_tokens();
                          measured.generated_tokens += event.final().usage().generated_tokens();
                        });
    EXPECT_FALSE(error.has_value());
    measured.total_seconds += since();
    ++measured.requests;
  }
  return measured;
}

TEST(Metrics, HoldWhatTheClientMeasured) {
  const auto daemon = Daemon::Start();
  ASSERT_NE(daemon, nullptr);
  const auto client = daemon->Connect();
  const Measured measured = Load(*client);
  // A record is written just after the client has its answer.
  std::string text;
  ASSERT_TRUE(Eventually([&] {
    text = HttpGet(daemon->http(), "/metrics").body;
    return Sample(text, "ssmd_request_duration_seconds_count") == measured.requests;
  })) << text;
  const auto count = static_cast<double>(measured.requests);
  EXPECT_EQ(Sample(text, "ssmd_time_to_first_token_seconds_count"), count);
  EXPECT_EQ(Sample(text, "ssmd_inter_token_latency_seconds_count"),
            static_cast<double>(measured.generated_tokens) - count);
  EXPECT_EQ(Sample(text, "ssmd_prompt_tokens_total"), static_cast<double>(measured.prompt_tokens));
  EXPECT_EQ(Sample(text, "ssmd_generation_tokens_total"),
            static_cast<double>(measured.generated_tokens));
  EXPECT_EQ(Sample(text, "ssmd_request_duration_seconds_bucket", "le=\"+Inf\""), count);
  // The server's times lie within the client's, which have the network on top.
  const double first = Sample(text, "ssmd_time_to_first_token_seconds_sum");
  const double total = Sample(text, "ssmd_request_duration_seconds_sum");
  EXPECT_GT(first, 0);
  EXPECT_LE(first, measured.first_token_seconds);
  EXPECT_LE(total, measured.total_seconds);
  EXPECT_GE(total, first);
  EXPECT_LE(Sample(text, "ssmd_inter_token_latency_seconds_sum"), total);
  EXPECT_EQ(Sample(text, "ssmd_prefix_cache_queries_total"), count);
  EXPECT_GT(Sample(text, "ssmd_prefix_cache_hit_tokens_total"), 0);
  EXPECT_EQ(Sample(text, "ssmd_state_loads_total"), count);
  EXPECT_GT(Sample(text, "ssmd_state_slots", "state=\"free\""), 0);
  EXPECT_EQ(Sample(text, "ssmd_requests_running"), 0);
  EXPECT_GT(Sample(text, "ssmd_step_seconds_count"), 0);
  EXPECT_THAT(text, HasSubstr("ssmd_build_info"));
  EXPECT_THAT(text, HasSubstr("model=\"tales\""));
}

TEST(Metrics, CountOutcomes) {
  const auto daemon = Daemon::Start();
  ASSERT_NE(daemon, nullptr);
  const auto client = daemon->Connect();
  const auto total = [&] {
    return Sample(HttpGet(daemon->http(), "/metrics").body, "ssmd_requests_total");
  };
  ASSERT_FALSE(RunTurn(*client, GreedyRequest("Once", 2)).error);
  EXPECT_TRUE(Eventually([&] { return total() == 1; }));
  {
    client::Generation dropped = client->Generate(GreedyRequest("Once", 60000), {});
    ASSERT_TRUE(dropped.Next().has_value());
  }
  EXPECT_TRUE(Eventually([&] { return total() == 2; }));
  std::istringstream lines(HttpGet(daemon->http(), "/metrics").body);
  int outcomes = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.compare(0, 20, "ssmd_requests_total{") == 0 && line.back() != '0') ++outcomes;
  }
  EXPECT_EQ(outcomes, 2);
}

// A port that was free a moment ago.
int FreePort() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), length), 0);
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length), 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

// The value of an instant query; nothing when it has no result yet.
std::optional<double> Query(const std::string& prometheus, const std::string& query) {
  rapidjson::Document answer;
  const HttpAnswer http = HttpGet(prometheus, "/api/v1/query?query=" + query);
  // HTTP/1.0 answers are not chunked, so that the body is the document.
  if (http.status != 200 || answer.Parse(http.body.c_str()).HasParseError()) return std::nullopt;
  const auto& result = answer["data"]["result"];
  if (result.Size() == 0) return std::nullopt;
  return std::stod(result[0]["value"][1].GetString());
}

TEST(Metrics, ARealPrometheusScrapesThem) {
  if (RunProgram({"prometheus", "--version"}).status != 0) {
    GTEST_SKIP() << "prometheus is not installed (Debian package prometheus)";
  }
  const auto daemon = Daemon::Start();
  ASSERT_NE(daemon, nullptr);
  const auto client = daemon->Connect();
  const Measured measured = Load(*client);

  const TempDir dir;
  const std::string config = dir.Write(
      "prometheus.yml",
      absl::StrFormat("global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
                      "scrape_configs: [{job_name: ssmd, static_configs: [{targets: ['%s']}]}]\n",
                      daemon->http()));
  const std::string address = absl::StrFormat("127.0.0.1:%d", FreePort());
  const auto prometheus = Process::Start({"prometheus", "--config.file=" + config,
                                          "--storage.tsdb.path=" + dir.File("data"),
                                          "--web.listen-address=" + address, "--log.level=warn"});
  ASSERT_TRUE(
      Eventually([&] { return Query(address, "up").value_or(0) == 1; }, std::chrono::seconds(90)))
      << prometheus->errors();
  EXPECT_EQ(Query(address, "ssmd_request_duration_seconds_count"), measured.requests);
  EXPECT_EQ(Query(address, "sum(ssmd_generation_tokens_total)"),
            static_cast<double>(measured.generated_tokens));
  EXPECT_EQ(Query(address, "count(ssmd_build_info)"), 1);
  // A histogram that Prometheus can compute with.
  const auto median = Query(
      address, "histogram_quantile(0.5,sum%20by%20(le)(ssmd_request_duration_seconds_bucket))");
  ASSERT_TRUE(median.has_value());
  EXPECT_GT(*median, 0);
}

}  // namespace
}  // namespace ssmd::test
