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
  record.load = std::chrono::microseconds(500);
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
  EXPECT_THAT(
      out.str(),
      HasSubstr(
          "request request_id=r1 tenant=ann model=m session_id=\"\" status=OK "
          "reason=\"\" state_source=resident reuse_miss=none prompt_tokens=10 reused_tokens=4 "
          "computed_tokens=6 recomputed_tokens=1 generated_tokens=5 pauses=0 "
          "queue_ms=1.000 load_ms=0.500 prefill_ms=2.000 decode_ms=30.000 total_ms=33.000\n"));
  EXPECT_THAT(metrics.Scrape({}, {}),
              HasSubstr("ssmd_requests_total{model=\"m\",outcome=\"ok\"} 1\n"));
}

TEST(EngineObserver, AStoredStateThatIsNotWhatItWasIsOneLine) {
  std::ostringstream out;
  Log log(LogLevel::kWarn, LogFormat::kText, std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  Metrics metrics({"m"});
  EngineObserver(&metrics, &log)
      .OnUnreadableState("m", "0123abcd", absl::DataLossError("section STAT was changed"));
  EXPECT_THAT(out.str(), HasSubstr("warn  state_unreadable model=m state=0123abcd status=DATA_LOSS "
                                   "message=\"section STAT was changed\"\n"));
}

TEST(EngineObserver, WhatAStateDirectoryGaveIsALineAndWhatIsMissingAWarning) {
  std::ostringstream out;
  Log log(LogLevel::kInfo, LogFormat::kText, std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  Metrics metrics({"m"});
  EngineObserver observer(&metrics, &log);
  observer.OnRecovered({.sessions = 3, .torn_bytes = 0, .removed_states = 2});
  EXPECT_THAT(out.str(), HasSubstr("info  recovered sessions=3 removed_states=2\n"));
  EXPECT_THAT(out.str(), Not(HasSubstr("log_torn")));
  observer.OnRecovered({.sessions = 3, .torn_bytes = 17, .removed_states = 0});
  EXPECT_THAT(out.str(), HasSubstr("warn  log_torn bytes=17 message="));
}

RequestRecord FromDisk() {
  RequestRecord record = Record();
  record.state_source = StateSource::kDisk;
  record.usage = Usage{};
  return record;
}

RequestRecord Stateless(StateSource source, PrefixMiss miss) {
  RequestRecord record;
  record.model = std::string("m");
  record.state_source = source;
  record.prefix_queried = true;
  record.miss = miss;
  record.usage.prompt_tokens = 40;
  record.usage.reused_tokens = source == StateSource::kPrefix ? 30 : 0;
  return record;
}

TEST(Metrics, CountsAndHistogramsHoldWhatHappened) {
  Metrics metrics({"m", "other"});
  metrics.RequestEnd(Record());
  RequestRecord cancelled = Record();
  cancelled.status = absl::CancelledError("x");
  cancelled.state_source = StateSource::kFresh;
  metrics.RequestEnd(cancelled);
  metrics.RequestEnd(FromDisk());
  metrics.RequestEnd(Stateless(StateSource::kPrefix, PrefixMiss::kNone));
  metrics.RequestEnd(Stateless(StateSource::kFresh, PrefixMiss::kEvicted));
  metrics.Eviction("m", StateTier::kHost);
  metrics.Eviction("made-up", StateTier::kHost);
  metrics.FirstToken("m", std::chrono::milliseconds(3));
  metrics.NextToken("m", std::chrono::microseconds(700));
  metrics.Step({"m", StepPhase::kMixed, 17, 7, 10, 2, std::chrono::milliseconds(4)});
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
  stats.session_tiers = {{StateTier::kDevice, 1}, {StateTier::kHost, 3}};
  stats.host_bytes = 55;
  stats.prefixes.bytes = 77;
  stats.prefixes.evictions = 3;
  EngineFigures figures;
  figures.log.bytes = 101;
  figures.log.records = 102;
  figures.store.bytes = 103;
  figures.store.states = 104;
  figures.store.failures = 105;
  const std::string text = metrics.Scrape({stats}, figures);
  for (const char* line : {
           "ssmd_requests_total{model=\"m\",outcome=\"ok\"} 4\n",
           "ssmd_requests_total{model=\"m\",outcome=\"cancelled\"} 1\n",
           "ssmd_requests_total{model=\"m\",outcome=\"resource_exhausted\"} 1\n",
           "ssmd_requests_total{model=\"other\",outcome=\"ok\"} 0\n",
           "ssmd_prompt_tokens_total{model=\"m\"} 100\n",
           "ssmd_generation_tokens_total{model=\"m\"} 10\n",
           "ssmd_reused_tokens_total{model=\"m\"} 38\n",
           "ssmd_recomputed_tokens_total{model=\"m\"} 2\n",
           "ssmd_state_loads_total{model=\"m\",source=\"resident\"} 1\n",
           "ssmd_state_loads_total{model=\"m\",source=\"fresh\"} 2\n",
           "ssmd_state_loads_total{model=\"m\",source=\"disk\"} 1\n",
           "ssmd_state_loads_total{model=\"m\",source=\"host\"} 0\n",
           "ssmd_state_loads_total{model=\"m\",source=\"prefix\"} 1\n",
           "ssmd_state_loads_total{model=\"m\",source=\"replayed\"} 0\n",
           "ssmd_state_load_seconds_count{model=\"m\"} 1\n",
           "ssmd_state_load_seconds_bucket{model=\"m\",le=\"0.0005\"} 1\n",
           "ssmd_state_evictions_total{model=\"m\",tier=\"host\"} 1\n",
           "ssmd_state_evictions_total{model=\"m\",tier=\"device\"} 0\n",
           "ssmd_prefix_cache_queries_total{model=\"m\"} 2\n",
           "ssmd_prefix_cache_hit_tokens_total{model=\"m\"} 30\n",
           "ssmd_prefix_cache_misses_total{model=\"m\",reason=\"evicted\"} 1\n",
           "ssmd_prefix_cache_misses_total{model=\"m\",reason=\"no_state\"} 0\n",
           "ssmd_prefix_cache_bytes{model=\"m\"} 77\n",
           "ssmd_prefix_cache_evictions_total{model=\"m\"} 3\n",
           "ssmd_stream_paused_total{model=\"m\"} 1\n",
           "ssmd_time_to_first_token_seconds_count{model=\"m\"} 1\n",
           "ssmd_time_to_first_token_seconds_bucket{model=\"m\",le=\"0.001\"} 0\n",
           "ssmd_time_to_first_token_seconds_bucket{model=\"m\",le=\"0.005\"} 1\n",
           "ssmd_time_to_first_token_seconds_bucket{model=\"m\",le=\"80\"} 1\n",
           "ssmd_inter_token_latency_seconds_bucket{model=\"m\",le=\"0.0005\"} 0\n",
           "ssmd_inter_token_latency_seconds_bucket{model=\"m\",le=\"0.001\"} 1\n",
           "ssmd_request_duration_seconds_count{model=\"m\"} 5\n",
           "ssmd_request_queue_seconds_bucket{model=\"m\",le=\"0.001\"} 5\n",
           "ssmd_request_prefill_seconds_count{model=\"m\"} 5\n",
           "ssmd_request_decode_seconds_sum{model=\"m\"} 0.09\n",
           "ssmd_batch_tokens_sum{model=\"m\"} 17\n",
           "ssmd_step_seconds_count{model=\"m\",phase=\"mixed\"} 1\n",
           "ssmd_step_seconds_count{model=\"m\",phase=\"prefill\"} 0\n",
           "ssmd_requests_running{model=\"m\"} 2\n",
           "ssmd_requests_waiting{model=\"m\"} 3\n",
           "ssmd_state_slots{model=\"m\",state=\"used\"} 4\n",
           "ssmd_state_slots{model=\"m\",state=\"free\"} 5\n",
           "ssmd_sessions{model=\"m\",tier=\"device\"} 1\n",
           "ssmd_sessions{model=\"m\",tier=\"host\"} 3\n",
           "ssmd_sessions{model=\"m\",tier=\"disk\"} 0\n",
           "ssmd_sessions{model=\"m\",tier=\"none\"} 2\n",
           "ssmd_host_state_bytes{model=\"m\"} 55\n",
           "ssmd_commit_log_bytes 101\n",
           "ssmd_commit_log_records_total 102\n",
           "ssmd_stored_state_bytes 103\n",
           "ssmd_stored_states 104\n",
           "ssmd_state_store_failures_total 105\n",
           "# TYPE ssmd_time_to_first_token_seconds histogram\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, HasSubstr("ssmd_build_info{version=\""));
  EXPECT_THAT(text, Not(HasSubstr("made-up")));
}

TEST(Metrics, TotalsOfTheEngineAreNotCountedTwice) {
  Metrics metrics({"m"});
  EngineFigures figures;
  figures.log.records = 5;
  metrics.Scrape({}, figures);
  figures.log.records = 7;
  EXPECT_THAT(metrics.Scrape({}, figures), HasSubstr("ssmd_commit_log_records_total 7\n"));
}

TEST(Metrics, KernelsThatAreOffAreSeen) {
  Metrics metrics({"m"});
  EngineFigures figures;
  EXPECT_THAT(metrics.Scrape({}, figures), Not(HasSubstr("ssmd_gpu_kernels_off")));
  figures.fast_kernels = {{"scan", "wrong"}, {"norm", ""}};
  const std::string text = metrics.Scrape({}, figures);
  EXPECT_THAT(text, HasSubstr("ssmd_gpu_kernels_off{kernel=\"scan\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("ssmd_gpu_kernels_off{kernel=\"norm\"} 0\n"));
}

TEST(Metrics, LatenciesAreWhatWasObserved) {
  Metrics metrics({"m"});
  metrics.FirstToken("m", std::chrono::milliseconds(3));
  metrics.FirstToken("m", std::chrono::seconds(100));  // past the last bound
  const ModelLatencies latencies = metrics.Latencies("m");
  ASSERT_EQ(latencies.first_token.counts.size(), latencies.first_token.bounds_seconds.size() + 1);
  EXPECT_EQ(latencies.first_token.bounds_seconds.back(), 80);
  EXPECT_EQ(latencies.first_token.counts[1], 1U);
  EXPECT_EQ(latencies.first_token.counts.back(), 2U);
  EXPECT_DOUBLE_EQ(latencies.first_token.sum_seconds, 100.003);
  EXPECT_EQ(latencies.inter_token.counts.back(), 0U);
  EXPECT_TRUE(metrics.Latencies("made-up").first_token.counts.empty());
}

}  // namespace
}  // namespace ssmd::server
