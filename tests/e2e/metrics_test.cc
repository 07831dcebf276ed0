// /metrics as a real Prometheus reads it, and compared with what a client measured itself; and the
// log of a request that was slow.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <sstream>

#include "tests/support/daemon.h"
#include "tests/support/eventually.h"
#include "tests/support/prometheus.h"
#include "tests/support/turn.h"

namespace ssmd::test {
namespace {

using ::testing::HasSubstr;

const char kNoPrometheus[] = "prometheus is not installed (Debian package prometheus)";

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

// The number behind `name`= in a line of the log.
double Field(const std::string& line, const std::string& name) {
  const size_t at = line.find(" " + name + "=");
  if (at != std::string::npos) return std::stod(line.substr(at + name.size() + 2));
  ADD_FAILURE() << "no " << name << " in " << line;
  return 0;
}

TEST(Log, ASlowRequestIsToldInPartsAndNotWhatWasSaid) {
  const auto daemon = Daemon::Start({"--log-slow-request", "0.0001", "--log-level", "warn"});
  ASSERT_NE(daemon, nullptr);
  const Turn turn = RunTurn(*daemon->Connect(), GreedyRequest("Once upon a time", 40));
  ASSERT_FALSE(turn.error);
  ASSERT_TRUE(Eventually([&] { return daemon->log().find("slow_request") != std::string::npos; }));
  EXPECT_EQ(daemon->Stop(), std::optional<int>(0));
  const std::string log = daemon->log();
  double sum = 0;
  for (const char* part :
       {"queue_ms", "load_ms", "prefill_ms", "decode_ms", "client_wait_ms", "commit_ms"}) {
    sum += Field(log, part);
  }
  EXPECT_NEAR(sum, Field(log, "total_ms"), 0.01);  // each is rounded
  EXPECT_GT(Field(log, "decode_ms"), 0);
  EXPECT_EQ(Field(log, "generated_tokens"), 40);
  EXPECT_EQ(log.find("Once"), std::string::npos);
  EXPECT_EQ(log.find(turn.only().text), std::string::npos);
}

TEST(Metrics, PromtoolHasNothingToComplainOf) {
  if (!Prometheus::Installed()) GTEST_SKIP() << kNoPrometheus;
  const auto daemon = Daemon::Start();
  ASSERT_NE(daemon, nullptr);
  const Finished check =
      RunProgram({"promtool", "check", "metrics"}, {HttpGet(daemon->http(), "/metrics").body, {}});
  EXPECT_EQ(check.status, 0);
  EXPECT_EQ(check.output + check.errors, "");
}

TEST(Metrics, ARealPrometheusScrapesThem) {
  if (!Prometheus::Installed()) GTEST_SKIP() << kNoPrometheus;
  const auto daemon = Daemon::Start();
  ASSERT_NE(daemon, nullptr);
  const auto client = daemon->Connect();
  const Measured measured = Load(*client);
  const auto prometheus = Prometheus::Start(daemon->http());
  ASSERT_NE(prometheus, nullptr);
  EXPECT_EQ(prometheus->QueryOne("ssmd_request_duration_seconds_count"), measured.requests);
  EXPECT_EQ(prometheus->QueryOne("sum(ssmd_generation_tokens_total)"),
            static_cast<double>(measured.generated_tokens));
  EXPECT_EQ(prometheus->QueryOne("ssmd_ready"), 1);
  // A histogram that Prometheus can compute with.
  const auto median = prometheus->QueryOne(
      "histogram_quantile(0.5, sum by (le) (ssmd_request_duration_seconds_bucket))");
  ASSERT_TRUE(median.has_value());
  EXPECT_GT(*median, 0);
}

}  // namespace
}  // namespace ssmd::test
