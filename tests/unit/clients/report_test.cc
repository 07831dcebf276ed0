#include "clients/bench/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <string>
#include <vector>

#include "clients/bench/chart.h"
#include "clients/bench/json_reader.h"

namespace ssmd::bench {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TurnResult ResultOf(double first_ms, double end_ms, int64_t tokens) {
  TurnResult result;
  result.first_token = TimePoint() + DurationOf(first_ms / 1000);
  result.end = TimePoint() + DurationOf(end_ms / 1000);
  result.gaps_ms = {1.5, 2.5};
  result.prompt_tokens = 7;
  result.generated_tokens = tokens;
  return result;
}

LoadReport RoundOf(double slower, const Objectives& objectives = {}) {
  LoadReport load;
  load.seconds = 2;
  for (int turn = 0; turn < 2; ++turn) {
    load.Add(turn, TimePoint(), ResultOf(10 * slower, 100 * slower, 8), objectives);
  }
  TurnResult failed;
  failed.error = "HTTP_429";
  failed.message = "full \x1b[31m\nnow";
  load.Add(0, TimePoint(), failed, objectives);
  load.send_delay_ms.Add(0.25);
  return load;
}

std::vector<ServerReport> TwoServers() {
  return {{"127.0.0.1:1", "grpc", "session", {RoundOf(1), RoundOf(1), RoundOf(1)}},
          {"http://b<&>:2", "http", "resend", {RoundOf(2), RoundOf(4), RoundOf(3)}}};
}

double NumberAt(const rapidjson::Document& document, std::initializer_list<const char*> path) {
  const rapidjson::Value* value = &document;
  for (const char* name : path) value = Member(value, name);
  EXPECT_TRUE(value != nullptr && value->IsNumber()) << *(path.end() - 1);
  return value != nullptr && value->IsNumber() ? value->GetDouble() : -1;
}

rapidjson::Document JsonOf(const LoadOptions& options, const std::vector<ServerReport>& servers) {
  rapidjson::Document document;
  std::string error;
  EXPECT_TRUE(ParseJson(ReportJson(options, servers), JsonBounds(), &document, &error)) << error;
  return document;
}

TEST(Report, AsJsonHasWhatScriptsReadAtItsTop) {
  LoadOptions options;
  options.streams = 16;
  options.objectives = {.first_token_ms = 15, .inter_token_ms = {}};
  const auto json =
      JsonOf(options, {{"127.0.0.1:1", "grpc", "session", {RoundOf(1, options.objectives)}}});
  EXPECT_EQ(StringOf(Member(&json, "mode")), "closed");
  EXPECT_EQ(NumberAt(json, {"streams"}), 16);
  EXPECT_EQ(NumberAt(json, {"rate"}), 0);
  EXPECT_EQ(NumberAt(json, {"seconds"}), 2);
  EXPECT_EQ(NumberAt(json, {"succeeded"}), 2);
  EXPECT_EQ(NumberAt(json, {"errors", "HTTP_429"}), 1);
  EXPECT_EQ(NumberAt(json, {"prompt_tokens"}), 14);
  EXPECT_EQ(NumberAt(json, {"generated_tokens"}), 16);
  EXPECT_EQ(NumberAt(json, {"requests_per_s"}), 1);
  EXPECT_EQ(NumberAt(json, {"tokens_per_s"}), 8);
  for (const char* times : {"first_token_ms", "inter_token_ms", "total_ms", "send_delay_ms"}) {
    for (const char* field : {"mean", "p50", "p90", "p95", "p99", "max"}) {
      EXPECT_GT(NumberAt(json, {times, field}), 0) << times;
    }
  }
  EXPECT_NEAR(NumberAt(json, {"goodput", "share"}), 2.0 / 3, 1e-9);
  EXPECT_EQ(NumberAt(json, {"goodput", "slo_first_token_ms"}), 15);
  EXPECT_EQ(Member(&json, "compare"), nullptr);
  const auto* turns = Member(&json, "first_token_by_turn");
  ASSERT_TRUE(turns != nullptr && turns->IsArray());
  ASSERT_EQ(turns->Size(), 2u);
  EXPECT_EQ(IntOf(Member(&(*turns)[1], "turn")), 2);
  EXPECT_EQ(IntOf(Member(&(*turns)[1], "requests")), 1);
}

TEST(Report, AsJsonHasRatiosOfTwoServers) {
  LoadOptions options;
  options.rate = 5;
  const auto json = JsonOf(options, TwoServers());
  EXPECT_EQ(StringOf(Member(&json, "mode")), "open");
  EXPECT_EQ(StringOf(Member(&json, "arrivals")), "fixed");
  EXPECT_EQ(StringOf(Member(Member(&json, "compare"), "server")), "http://b<&>:2");
  EXPECT_EQ(NumberAt(json, {"compare", "succeeded"}), 6);
  EXPECT_EQ(NumberAt(json, {"ratios", "tokens_per_s", "median"}), 1);
  EXPECT_NEAR(NumberAt(json, {"ratios", "first_token_ms_p50", "median"}), 1.0 / 3, 1e-6);
  EXPECT_NEAR(NumberAt(json, {"ratios", "first_token_ms_p50", "min"}), 0.25, 1e-6);
  EXPECT_NEAR(NumberAt(json, {"ratios", "first_token_ms_p50", "max"}), 0.5, 1e-6);
  EXPECT_EQ(Member(&json, "rounds")->Size(), 3u);
}

TEST(Report, OfRoundsThatHaveNothingHasNoRatio) {
  const ServerReport empty{"a", "grpc", "session", {LoadReport()}};
  EXPECT_EQ(RatioOf(Figures()[0], empty, empty).rounds, 0);
  EXPECT_THAT(ReportText(LoadOptions(), {empty, empty}), HasSubstr("0 requests"));
  EXPECT_THAT(ReportJson(LoadOptions(), {empty, empty}), HasSubstr("\"ratios\":{}"));
}

TEST(Report, AsTextIsFitForATerminal) {
  LoadOptions options;
  options.objectives = {.first_token_ms = 15, .inter_token_ms = 2};
  EXPECT_THAT(ReportText(options, TwoServers()),
              AllOf(HasSubstr("failed: 3 HTTP_429 (the first: full"), Not(HasSubstr("\x1b")),
                    HasSubstr("first token by turn"), HasSubstr("A by B"), HasSubstr("goodput: "),
                    HasSubstr("inter-token p99 within 2 ms"), HasSubstr("0.33 (0.25 to 0.50)")));
}

// Every tag is closed in its order, attributes are quoted, and text has no loose markup.
testing::AssertionResult IsWellFormed(const std::string& svg) {
  std::vector<std::string> open;
  for (size_t at = 0; at < svg.size();) {
    if (svg[at] == '&') {
      const std::string entity = svg.substr(at, svg.find(';', at) - at);
      if (entity != "&amp" && entity != "&lt" && entity != "&gt") {
        return testing::AssertionFailure() << "a loose & at " << at;
      }
    }
    if (svg[at] == '>') return testing::AssertionFailure() << "a loose > at " << at;
    if (svg[at] != '<') {
      ++at;
      continue;
    }
    const size_t end = svg.find('>', at);
    if (end == std::string::npos) return testing::AssertionFailure() << "an open tag at " << at;
    const std::string tag = svg.substr(at + 1, end - at - 1);
    at = end + 1;
    if (tag.find('<') != std::string::npos) return testing::AssertionFailure() << tag;
    if (std::count(tag.begin(), tag.end(), '"') % 2 != 0) return testing::AssertionFailure() << tag;
    size_t name_end = 0;
    while (name_end < tag.size() && (std::isalnum(tag[name_end]) != 0 || tag[name_end] == '/')) {
      ++name_end;
    }
    const std::string name = tag.substr(0, name_end);
    if (name.front() == '/') {
      if (open.empty() || "/" + open.back() != name) return testing::AssertionFailure() << name;
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(name);
    }
  }
  if (!open.empty()) return testing::AssertionFailure() << open.back() << " is not closed";
  return testing::AssertionSuccess();
}

std::string ChartOf(const std::vector<ServerReport>& servers) {
  std::vector<ChartSeries> series;
  series.reserve(servers.size());
  for (const ServerReport& server : servers) series.push_back({server.server, server.Total()});
  return ChartSvg("Closed loop, 16 clients", series);
}

TEST(Chart, IsWellFormedAndLabelled) {
  const std::string svg = ChartOf(TwoServers());
  EXPECT_TRUE(IsWellFormed(svg));
  EXPECT_THAT(
      svg, AllOf(HasSubstr("http://b&lt;&amp;&gt;:2"), HasSubstr("First token by turn"),
                 HasSubstr("Inter-token"), HasSubstr(" ms</text>"), HasSubstr("share of requests"),
                 HasSubstr("#ffffff"), Not(HasSubstr("nan")), Not(HasSubstr("inf"))));
}

TEST(Chart, OfNothingIsWellFormedToo) {
  const std::string svg = ChartOf({{"a", "grpc", "session", {LoadReport()}}});
  EXPECT_TRUE(IsWellFormed(svg));
  EXPECT_THAT(svg, AllOf(HasSubstr("nothing measured"), Not(HasSubstr("nan"))));
}

TEST(Chart, OfOneRequestThatTookNoTimeIsWellFormedToo) {
  LoadReport load;
  load.seconds = 1;
  load.Add(0, TimePoint(), ResultOf(0, 0, 1), {});
  const std::string svg = ChartOf({{"a", "grpc", "session", {load}}});
  EXPECT_TRUE(IsWellFormed(svg));
  EXPECT_THAT(svg, AllOf(Not(HasSubstr("nan")), Not(HasSubstr("inf\""))));
}

}  // namespace
}  // namespace ssmd::bench
