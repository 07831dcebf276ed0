// Log lines that cannot be forged, and metrics by their contracted names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/document.h>
#include <spdlog/sinks/ostream_sink.h>

#include <sstream>

#include "engine/base/errors.h"
#include "server/telemetry/engine_observer.h"
#include "server/telemetry/log.h"
#include "server/telemetry/metrics.h"

namespace ssmd::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Log, TextIsKeyValueWithWhatIsNotPlainQuoted) {
  EXPECT_EQ(FormatLogLine(LogFormat::kText, "T", LogLevel::kInfo, "event",
                          {{"plain", "a-b_c.d:1/2"},
                           {"empty", ""},
                           {"spaced", "a b"},
                           {"number", int64_t{-5}},
                           {"real", 1.5},
                           {"flag", true}}),
            "T info  event plain=a-b_c.d:1/2 empty=\"\" spaced=\"a b\" number=-5 real=1.500 "
            "flag=true");
}

TEST(Log, WhatCallersSendCannotForgeALineOrAField) {
  const std::string hostile = std::string("x\ninfo forged=1 \"q\" \\ \x1b[31m \xff") + '\0' + "=";
  const std::string text =
      FormatLogLine(LogFormat::kText, "T", LogLevel::kWarn, "e", {{"v", hostile}});
  EXPECT_EQ(text, "T warn  e v=\"x\\x0ainfo forged=1 \\\"q\\\" \\\\ \\x1b[31m \\xff\\x00=\"");
  const std::string json =
      FormatLogLine(LogFormat::kJson, "T", LogLevel::kWarn, "e", {{"v", hostile}});
  EXPECT_THAT(json, Not(HasSubstr("\n")));
  rapidjson::Document document;
  document.Parse(json.c_str());
  ASSERT_FALSE(document.HasParseError()) << json;
  EXPECT_EQ(document.MemberCount(), 4U);
  EXPECT_STREQ(document["level"].GetString(), "warn");
  EXPECT_THAT(document["v"].GetString(), HasSubstr("x\ninfo forged=1 \"q\""));
}

TEST(Log, JsonNumbersAreNumbersAndInfinityIsNull) {
  EXPECT_EQ(FormatLogLine(LogFormat::kJson, "T", LogLevel::kError, "e",
                          {{"n", int64_t{7}}, {"r", 0.5}, {"i", 1.0 / 0.0}, {"b", false}}),
            R"({"time":"T","level":"error","event":"e","n":7,"r":0.5,"i":null,"b":false})");
}

TEST(Log, LongValuesAreCut) {
  const std::string line =
      FormatLogLine(LogFormat::kText, "T", LogLevel::kInfo, "e", {{"v", std::string(5000, 'x')}});
  EXPECT_LT(line.size(), 1100U);
}

TEST(Log, WritesFromItsLevelUp) {
  std::ostringstream out;
  {
    Log log(LogLevel::kWarn, LogFormat::kText,
            std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
    EXPECT_FALSE(log.enabled(LogLevel::kInfo));
    log.Write(LogLevel::kInfo, "quiet", {});
    log.Write(LogLevel::kWarn, "loud", {});
    log.Write(LogLevel::kError, "louder", {});
  }
  EXPECT_THAT(out.str(), Not(HasSubstr("quiet")));
  EXPECT_THAT(out.str(), HasSubstr("Z warn  loud\n"));
  EXPECT_THAT(out.str(), HasSubstr("Z error louder\n"));
}

RequestRecord Record() {
  RequestRecord record;
  record.request_id = std::string("r1");
  record.tenant = std::string("ann");
  record.model = std::string("m");
  record.state_source = StateSource::kResident;
  record.usage = Usage{10, 4, 6, 1, 5};
  record.queue = std::chrono::milliseconds(1);
  record.prefill = std::chrono::milliseconds(2);
  record.decode = std::chrono::milliseconds(30);
  record.total = std::chrono::milliseconds(33);
  return record;
}

TEST(EngineObserver, ARequestIsOneLineAndItsCounts) {
  std::ostringstream out;
  Log log(LogLevel::kInfo, LogFormat::kText, std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  Metrics metrics({"m"});
  EngineObserver observer(&metrics, &log);
  observer.OnRequestEnd(Record());
  EXPECT_THAT(out.str(),
              HasSubstr("request request_id=r1 tenant=ann model=m session_id=\"\" status=OK "
                        "reason=\"\" state_source=resident prompt_tokens=10 reused_tokens=4 "
                        "computed_tokens=6 recomputed_tokens=1 generated_tokens=5 pauses=0 "
                        "queue_ms=1.000 prefill_ms=2.000 decode_ms=30.000 total_ms=33.000\n"));
  EXPECT_THAT(metrics.Scrape({}), HasSubstr("ssmd_requests_total{model=\"m\",outcome=\"ok\"} 1\n"));
}

TEST(Metrics, CountsAndHistogramsHoldWhatHappened) {
  Metrics metrics({"m", "other"});
  metrics.RequestEnd(Record());
  RequestRecord cancelled = Record();
  cancelled.status = absl::CancelledError("x");
  cancelled.state_source = StateSource::kFresh;
  metrics.RequestEnd(cancelled);
  metrics.FirstToken("m", std::chrono::milliseconds(3));
  metrics.NextToken("m", std::chrono::microseconds(700));
  metrics.Step({"m", StepPhase::kMixed, 17, 2, std::chrono::milliseconds(4)});
  metrics.Paused("m");
  metrics.CountRefused("m", absl::ResourceExhaustedError("full"));
  metrics.CountRefused("", absl::InvalidArgumentError("which of two models?"));
  metrics.FirstToken("made-up", std::chrono::milliseconds(3));

  ModelStats stats;
  stats.model = std::string("m");
  stats.running = 2;
  stats.waiting = 3;
  stats.slots_used = 4;
  stats.slots_free = 5;
  stats.sessions = 6;
  const std::string text = metrics.Scrape({stats});
  for (const char* line : {
           "ssmd_requests_total{model=\"m\",outcome=\"ok\"} 1\n",
           "ssmd_requests_total{model=\"m\",outcome=\"cancelled\"} 1\n",
           "ssmd_requests_total{model=\"m\",outcome=\"resource_exhausted\"} 1\n",
           "ssmd_requests_total{model=\"other\",outcome=\"ok\"} 0\n",
           "ssmd_prompt_tokens_total{model=\"m\"} 20\n",
           "ssmd_generation_tokens_total{model=\"m\"} 10\n",
           "ssmd_reused_tokens_total{model=\"m\"} 8\n",
           "ssmd_state_loads_total{model=\"m\",source=\"resident\"} 1\n",
           "ssmd_state_loads_total{model=\"m\",source=\"fresh\"} 1\n",
           "ssmd_stream_paused_total{model=\"m\"} 1\n",
           "ssmd_time_to_first_token_seconds_count{model=\"m\"} 1\n",
           "ssmd_time_to_first_token_seconds_bucket{model=\"m\",le=\"0.001\"} 0\n",
           "ssmd_time_to_first_token_seconds_bucket{model=\"m\",le=\"0.005\"} 1\n",
           "ssmd_time_to_first_token_seconds_bucket{model=\"m\",le=\"80\"} 1\n",
           "ssmd_inter_token_latency_seconds_bucket{model=\"m\",le=\"0.0005\"} 0\n",
           "ssmd_inter_token_latency_seconds_bucket{model=\"m\",le=\"0.001\"} 1\n",
           "ssmd_request_duration_seconds_count{model=\"m\"} 2\n",
           "ssmd_request_queue_seconds_bucket{model=\"m\",le=\"0.001\"} 2\n",
           "ssmd_request_prefill_seconds_count{model=\"m\"} 2\n",
           "ssmd_request_decode_seconds_sum{model=\"m\"} 0.06\n",
           "ssmd_batch_tokens_sum{model=\"m\"} 17\n",
           "ssmd_step_seconds_count{model=\"m\",phase=\"mixed\"} 1\n",
           "ssmd_step_seconds_count{model=\"m\",phase=\"prefill\"} 0\n",
           "ssmd_requests_running{model=\"m\"} 2\n",
           "ssmd_requests_waiting{model=\"m\"} 3\n",
           "ssmd_state_slots{model=\"m\",state=\"used\"} 4\n",
           "ssmd_state_slots{model=\"m\",state=\"free\"} 5\n",
           "ssmd_sessions{model=\"m\",tier=\"device\"} 6\n",
           "# TYPE ssmd_time_to_first_token_seconds histogram\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, HasSubstr("ssmd_build_info{version=\""));
  EXPECT_THAT(text, Not(HasSubstr("made-up")));
}

}  // namespace
}  // namespace ssmd::server
