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
  record.client_wait = std::chrono::milliseconds(7);
  record.commit = std::chrono::milliseconds(4);
  record.total = std::chrono::milliseconds(44);
  record.first_token = std::chrono::milliseconds(3);
  return record;
}

TEST(EngineObserver, ARequestIsOneLineAndItsCounts) {
  std::ostringstream out;
  Log log(LogLevel::kInfo, LogFormat::kText, std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  Metrics metrics({"m"});
  EngineObserver observer(&metrics, &log, {});
  observer.OnRequestEnd(Record());
  EXPECT_THAT(
      out.str(),
      HasSubstr(
          "request request_id=r1 tenant=ann model=m session_id=\"\" status=OK "
          "reason=\"\" state_source=resident reuse_miss=none prompt_tokens=10 reused_tokens=4 "
          "computed_tokens=6 recomputed_tokens=1 generated_tokens=5 pauses=0 "
          "queue_ms=0.500 load_ms=0.500 prefill_ms=2.000 decode_ms=30.000 client_wait_ms=7.000 "
          "commit_ms=4.000 first_token_ms=3.000 total_ms=44.000\n"));
  EXPECT_THAT(metrics.Scrape({}, {}, {}),
              HasSubstr("ssmd_requests_total{model=\"m\",outcome=\"ok\"} 1\n"));
}

// The lines of `event` that a request gives.
int LinesOf(const std::string& event, const RequestRecord& request, const SlowRequests& slow,
            LogLevel level = LogLevel::kInfo) {
  std::ostringstream out;
  {
    Log log(level, LogFormat::kText, std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
    Metrics metrics({"m"});
    EngineObserver(&metrics, &log, slow).OnRequestEnd(request);
  }
  int found = 0;
  std::istringstream lines(out.str());
  for (std::string line; std::getline(lines, line);) {
    if (line.find(" " + event + " request_id=r1 ") != std::string::npos) ++found;
  }
  return found;
}

TEST(EngineObserver, ASlowRequestIsOneLineMore) {
  using std::chrono::milliseconds;
  const Duration off{};
  struct Case {
    SlowRequests slow;
    int lines;
  };
  for (const Case& c : std::vector<Case>{{{milliseconds(44), off}, 0},
                                         {{milliseconds(44) - Duration(1), off}, 1},
                                         {{off, milliseconds(3)}, 0},
                                         {{off, milliseconds(3) - Duration(1)}, 1},
                                         {{milliseconds(1), milliseconds(1)}, 1},
                                         {{off, off}, 0}}) {
    EXPECT_EQ(LinesOf("slow_request", Record(), c.slow), c.lines);
    EXPECT_EQ(LinesOf("request", Record(), c.slow), 1);
  }
  const SlowRequests slow{off, milliseconds(40)};
  RequestRecord silent = Record();
  silent.first_token.reset();
  EXPECT_EQ(LinesOf("slow_request", silent, slow), 1) << "it was waited for until the end";
  EXPECT_EQ(LinesOf("slow_request", Record(), {milliseconds(1), off}, LogLevel::kWarn), 1);
  EXPECT_EQ(LinesOf("request", Record(), {milliseconds(1), off}, LogLevel::kWarn), 0);
  EXPECT_EQ(LinesOf("slow_request", Record(), {milliseconds(1), off}, LogLevel::kError), 0);
}

TEST(EngineObserver, TheTimesOfASlowRequestAddUpToItsTotal) {
  std::ostringstream out;
  Log log(LogLevel::kWarn, LogFormat::kJson, std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  Metrics metrics({"m"});
  EngineObserver(&metrics, &log, {Duration(1), Duration(1)}).OnRequestEnd(Record());
  rapidjson::Document line;
  line.Parse(out.str().c_str());
  ASSERT_FALSE(line.HasParseError()) << out.str();
  EXPECT_STREQ(line["event"].GetString(), "slow_request");
  EXPECT_STREQ(line["tenant"].GetString(), "ann");
  EXPECT_STREQ(line["state_source"].GetString(), "resident");
  EXPECT_EQ(line["generated_tokens"].GetInt(), 5);
  double sum = 0;
  for (const char* part :
       {"queue_ms", "load_ms", "prefill_ms", "decode_ms", "client_wait_ms", "commit_ms"}) {
    EXPECT_GT(line[part].GetDouble(), 0) << part;
    sum += line[part].GetDouble();
  }
  EXPECT_DOUBLE_EQ(sum, line["total_ms"].GetDouble());
}

TEST(EngineObserver, AStoredStateThatIsNotWhatItWasIsOneLine) {
  std::ostringstream out;
  Log log(LogLevel::kWarn, LogFormat::kText, std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  Metrics metrics({"m"});
  EngineObserver(&metrics, &log, {})
      .OnUnreadableState("m", "0123abcd", absl::DataLossError("section STAT was changed"));
  EXPECT_THAT(out.str(), HasSubstr("warn  state_unreadable model=m state=0123abcd status=DATA_LOSS "
                                   "message=\"section STAT was changed\"\n"));
}

TEST(EngineObserver, WhatAStateDirectoryGaveIsALineAndWhatIsMissingAWarning) {
  std::ostringstream out;
  Log log(LogLevel::kInfo, LogFormat::kText, std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  Metrics metrics({"m"});
  EngineObserver observer(&metrics, &log, {});
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
  RequestRecord paused = Record();
  paused.pauses = 2;
  paused.session_id = std::string("s");
  metrics.RequestEnd(paused);
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
  metrics.CountRefused("m", WithReason(absl::ResourceExhaustedError("full"), reason::kQueueFull));
  metrics.CountRefused("", absl::InvalidArgumentError("which of two models?"));
  metrics.FirstToken("made-up", std::chrono::milliseconds(3));

  ModelStats stats;
  stats.model = std::string("m");
  stats.running = 2;
  stats.waiting = 3;
  stats.waiting_limit = 256;
  stats.slots_used = 4;
  stats.slots_free = 5;
  stats.sessions = 6;
  stats.session_tiers = {{StateTier::kDevice, 1}, {StateTier::kHost, 3}};
  stats.host_bytes = 55;
  stats.host_bytes_limit = 56;
  stats.prefixes.bytes = 77;
  stats.prefixes.bytes_limit = 78;
  stats.prefixes.evictions = 3;
  EngineFigures figures;
  figures.log.bytes = 101;
  figures.log.records = 102;
  figures.store.bytes = 103;
  figures.store.states = 104;
  figures.store.failures = 105;
  figures.store.bytes_limit = 106;
  const std::string text = metrics.Scrape({stats}, figures, {true, true, true, 107});
  for (const char* line : {
           "ssmd_requests_total{model=\"m\",outcome=\"ok\"} 4\n",
           "ssmd_requests_total{model=\"m\",outcome=\"cancelled\"} 1\n",
           "ssmd_requests_total{model=\"m\",outcome=\"resource_exhausted\"} 1\n",
           "ssmd_requests_total{model=\"other\",outcome=\"ok\"} 0\n",
           "ssmd_request_errors_total{model=\"m\",reason=\"queue_full\"} 1\n",
           "ssmd_request_errors_total{model=\"m\",reason=\"other\"} 1\n",
           "ssmd_request_errors_total{model=\"m\",reason=\"slow_reader\"} 0\n",
           "ssmd_prompt_tokens_total{model=\"m\"} 100\n",
           "ssmd_read_tokens_total{model=\"m\"} 7\n",
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
           "ssmd_prefix_cache_queried_tokens_total{model=\"m\"} 80\n",
           "ssmd_prefix_cache_hit_tokens_total{model=\"m\"} 30\n",
           "ssmd_prefix_cache_misses_total{model=\"m\",reason=\"evicted\"} 1\n",
           "ssmd_prefix_cache_misses_total{model=\"m\",reason=\"no_state\"} 0\n",
           "ssmd_prefix_cache_bytes{model=\"m\"} 77\n",
           "ssmd_prefix_cache_limit_bytes{model=\"m\"} 78\n",
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
           "ssmd_request_client_wait_seconds_count{model=\"m\"} 1\n",
           "ssmd_request_commit_seconds_count{model=\"m\"} 1\n",
           "ssmd_batch_tokens_sum{model=\"m\"} 17\n",
           "ssmd_step_seconds_count{model=\"m\",phase=\"mixed\"} 1\n",
           "ssmd_step_seconds_count{model=\"m\",phase=\"prefill\"} 0\n",
           "ssmd_requests_running{model=\"m\"} 2\n",
           "ssmd_requests_waiting{model=\"m\"} 3\n",
           "ssmd_requests_waiting_limit{model=\"m\"} 256\n",
           "ssmd_state_slots{model=\"m\",state=\"used\"} 4\n",
           "ssmd_state_slots{model=\"m\",state=\"free\"} 5\n",
           "ssmd_sessions{model=\"m\",tier=\"device\"} 1\n",
           "ssmd_sessions{model=\"m\",tier=\"host\"} 3\n",
           "ssmd_sessions{model=\"m\",tier=\"disk\"} 0\n",
           "ssmd_sessions{model=\"m\",tier=\"none\"} 2\n",
           "ssmd_host_state_bytes{model=\"m\"} 55\n",
           "ssmd_host_state_limit_bytes 56\n",
           "ssmd_commit_log_bytes 101\n",
           "ssmd_commit_log_records_total 102\n",
           "ssmd_stored_state_bytes 103\n",
           "ssmd_stored_states 104\n",
           "ssmd_state_store_failures_total 105\n",
           "ssmd_stored_state_limit_bytes 106\n",
           "ssmd_ready 1\n",
           "ssmd_draining 1\n",
           "ssmd_device_failed 1\n",
           "process_resident_memory_bytes 107\n",
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
  metrics.Scrape({}, figures, {});
  figures.log.records = 7;
  EXPECT_THAT(metrics.Scrape({}, figures, {}), HasSubstr("ssmd_commit_log_records_total 7\n"));
}

TEST(Metrics, AStoreThatIsNotSharedIsNotDown) {
  Metrics metrics({"m"});
  EngineFigures figures;
  EXPECT_THAT(metrics.Scrape({}, figures, {}), Not(HasSubstr("ssmd_shared_")));
  figures.sharing.emplace().lag = std::chrono::milliseconds(1500);
  figures.sharing->lost = 2;
  for (int i = 0; i < 2; ++i) {
    const std::string text = metrics.Scrape({}, figures, {});
    EXPECT_THAT(text, HasSubstr("ssmd_shared_store_up 0\n"));
    EXPECT_THAT(text, HasSubstr("ssmd_shared_lag_seconds 1.5\n"));
    EXPECT_THAT(text, HasSubstr("ssmd_shared_lost_total 2\n"));
  }
}

TEST(Metrics, KernelsThatAreOffAreSeen) {
  Metrics metrics({"m"});
  EngineFigures figures;
  EXPECT_THAT(metrics.Scrape({}, figures, {}), Not(HasSubstr("ssmd_gpu_kernels_off")));
  figures.fast_kernels = {{"scan", "wrong"}, {"norm", ""}};
  const std::string text = metrics.Scrape({}, figures, {});
  EXPECT_THAT(text, HasSubstr("ssmd_gpu_kernels_off{kernel=\"scan\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("ssmd_gpu_kernels_off{kernel=\"norm\"} 0\n"));
}

TEST(Metrics, ObservationsAreWhatWasObserved) {
  Metrics metrics({"m"});
  metrics.FirstToken("m", std::chrono::milliseconds(3));
  metrics.FirstToken("m", std::chrono::seconds(100));  // past the last bound
  metrics.Step({"m", StepPhase::kMixed, 17, 7, 10, 2, std::chrono::milliseconds(4)});
  metrics.RequestEnd(Record());
  metrics.CountRefused("m", absl::InvalidArgumentError("x"));
  const ModelObservations observed = metrics.Observations("m");
  const LatencyHistogram& first = observed.first_token;
  ASSERT_EQ(first.counts.size(), first.bounds_seconds.size() + 1);
  EXPECT_EQ(first.bounds_seconds.back(), 80);
  EXPECT_EQ(first.counts[1], 1U);
  EXPECT_EQ(first.counts.back(), 2U);
  EXPECT_DOUBLE_EQ(first.sum_seconds, 100.003);
  EXPECT_EQ(observed.inter_token.counts.back(), 0U);
  EXPECT_EQ(observed.queue.counts.back(), 1U);
  ASSERT_EQ(observed.steps.size(), 3U);
  EXPECT_EQ(observed.steps[2].first, "mixed");
  EXPECT_EQ(observed.steps[2].second.counts.back(), 1U);
  EXPECT_THAT(observed.outcomes, ::testing::ElementsAre(::testing::Pair("ok", 1),
                                                        ::testing::Pair("invalid_argument", 1)));
  EXPECT_TRUE(metrics.Observations("made-up").first_token.counts.empty());
}

}  // namespace
}  // namespace ssmd::server
