#include "clients/ssmctl/top_frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include "clients/ssmctl/stats_output.h"

namespace ssmd::ctl {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

v1::GetStatsResponse Stats(double uptime, int64_t tokens) {
  v1::GetStatsResponse stats;
  stats.set_uptime_seconds(uptime);
  stats.set_resident_bytes(12'000'000);
  v1::ModelStats* model = stats.add_models();
  model->set_model("tales");
  model->set_running(3);
  model->set_waiting(3);
  model->set_waiting_limit(256);
  model->set_waiting_high(1);
  model->set_waiting_normal(2);
  model->set_slots_used(4);
  model->set_slots_free(28);
  model->set_generated_tokens(tokens);
  model->set_read_tokens(2 * tokens);
  model->set_fed_tokens(3 * tokens);
  model->set_steps(static_cast<uint64_t>(tokens));
  model->set_sessions(10);
  v1::TierCount* tier = model->add_session_tiers();
  tier->set_tier(v1::STATE_TIER_HOST);
  tier->set_count(7);
  model->set_device_states(4);
  model->set_host_bytes(700'000);
  model->set_host_bytes_limit(1'000'000);
  model->mutable_prefixes()->set_queried_tokens(tokens);
  model->mutable_prefixes()->set_hit_tokens(tokens / 4);
  const auto add_outcome = [model](const char* name, int64_t count) {
    v1::OutcomeCount* outcome = model->add_outcomes();
    outcome->set_outcome(name);
    outcome->set_count(count);
  };
  add_outcome("ok", tokens);
  add_outcome("cancelled", tokens / 100);
  add_outcome("internal", 7);
  v1::SourceCount* source = model->add_loads();
  source->set_source(v1::STATE_SOURCE_DISK);
  source->set_count(tokens / 10);
  v1::TierCount* evicted = model->add_evictions();
  evicted->set_tier(v1::STATE_TIER_DEVICE);
  evicted->set_count(tokens / 50);
  v1::PhaseSteps* steps = model->add_steps_by_phase();
  steps->set_phase("mixed");
  for (v1::Latency* latency : {model->mutable_time_to_first_token(), model->mutable_inter_token(),
                               model->mutable_queue(), steps->mutable_duration()}) {
    latency->add_bounds_ms(10);
    latency->add_counts(static_cast<uint64_t>(tokens));
    latency->add_counts(static_cast<uint64_t>(tokens));
  }
  return stats;
}

TEST(TopFrame, RatesAreOfTheLastInterval) {
  const TopFrame frame(Stats(102, 1500), Stats(100, 500), {{"tales", 1000}});
  const ModelRates& rates = frame.rates("tales");
  EXPECT_DOUBLE_EQ(rates.sampled_per_second, 500);
  EXPECT_DOUBLE_EQ(rates.read_per_second, 1000);
  EXPECT_DOUBLE_EQ(rates.steps_per_second, 500);
  EXPECT_DOUBLE_EQ(rates.tokens_per_step, 3);
  EXPECT_DOUBLE_EQ(rates.ended_per_second, 505);
  EXPECT_THAT(rates.failures, ElementsAre(Pair("cancelled", 10)));
  EXPECT_THAT(rates.loads, ElementsAre(Pair("disk", 100)));
  EXPECT_THAT(rates.evictions, ElementsAre(Pair("device", 20)));
  EXPECT_THAT(rates.steps, ElementsAre(Pair("mixed", ::testing::_)));
  EXPECT_DOUBLE_EQ(*rates.prefix_hit_rate, 0.25);
  ASSERT_TRUE(rates.first_token.has_value());
  EXPECT_EQ(rates.first_token->count, 1000U);
}

TEST(TopFrame, TheFirstLookIsSinceTheStart) {
  EXPECT_DOUBLE_EQ(TopFrame(Stats(10, 1000), {}, {}).rates("tales").sampled_per_second, 100);
}

TEST(TopFrame, AServerThatWasRestartedIsAnotherOne) {
  EXPECT_DOUBLE_EQ(TopFrame(Stats(10, 100), Stats(500, 5000), {}).rates("tales").sampled_per_second,
                   10);
}

TEST(TopFrame, NothingHappenedIsNoLatencyAndNoRate) {
  const TopFrame frame(Stats(102, 500), Stats(100, 500), {});
  EXPECT_FALSE(frame.rates("tales").inter_token.has_value());
  EXPECT_FALSE(frame.rates("tales").prefix_hit_rate.has_value());
  for (const char* line : {"  requests      0.0/s ended", "  inter-token   -", "  queue         -",
                           "  steps         0/s of 0.0 tokens; ms (p95): -", "  found         -",
                           "  moves         0 loading, 0 storing; evicted: -"}) {
    EXPECT_THAT(frame.Lines("s"), Contains(line));
  }
}

TEST(TopFrame, ShowsSlotsQueueTiersAndBytes) {
  v1::GetStatsResponse stats = Stats(102, 1500);
  stats.mutable_state_dir()->set_stored_states(9);
  stats.mutable_state_dir()->set_stored_bytes(9000);
  const auto lines = TopFrame(stats, Stats(100, 500), {{"tales", 1000}}).Lines("host:1");
  EXPECT_THAT(lines, Contains("ssmd at host:1: up 102 s, 12.0 MB resident"));
  EXPECT_THAT(lines, Contains("tales"));
  EXPECT_THAT(lines, Contains("  slots         4 used, 28 free"));
  EXPECT_THAT(lines, Contains("  requests      505.0/s ended: 10 cancelled"));
  EXPECT_THAT(lines, Contains("  turns         3 running, 0 paused"));
  EXPECT_THAT(lines, Contains("  waiting       3 of 256: 1 high, 2 normal, 0 low"));
  EXPECT_THAT(lines, Contains("  tokens/s      500 sampled, 1000 read"));
  EXPECT_THAT(lines, Contains("  steps         500/s of 3.0 tokens; ms (p95): mixed 9.5"));
  EXPECT_THAT(lines, Contains("  first token   5.0 / 9.5 / 9.9 ms  (p50 / p95 / p99)"));
  EXPECT_THAT(lines, Contains("  queue         5.0 / 9.5 / 9.9 ms"));
  EXPECT_THAT(lines, Contains("  found         100 disk"));
  EXPECT_THAT(lines, Contains("  moves         0 loading, 0 storing; evicted: 20 device"));
  EXPECT_THAT(lines, Contains("  sessions      10: 7 host, 3 none"));
  EXPECT_THAT(lines, Contains(HasSubstr("4.0 KB in slots, 700 KB of 1.0 MB in host memory")));
  EXPECT_THAT(lines, Contains(HasSubstr("25% of tokens hit")));
  EXPECT_THAT(lines, Contains("  states        9, 9.0 KB of no limit; 0 reads and writes queued"));
}

TEST(TopFrame, FitsEightyColumnsWhenAllIsLarge) {
  v1::GetStatsResponse stats = Stats(9'999'999, 99'999'999);
  stats.set_draining(true);
  v1::ModelStats* model = stats.mutable_models(0);
  for (const auto source : {v1::STATE_SOURCE_FRESH, v1::STATE_SOURCE_RESIDENT,
                            v1::STATE_SOURCE_HOST, v1::STATE_SOURCE_PREFIX}) {
    model->add_loads()->set_source(source);
    model->mutable_loads(model->loads_size() - 1)->set_count(9999);
  }
  for (const char* phase : {"prefill", "decode"}) {
    *model->add_steps_by_phase() = model->steps_by_phase(0);
    model->mutable_steps_by_phase(model->steps_by_phase_size() - 1)->set_phase(phase);
  }
  model->set_running(9999);
  model->set_paused(9999);
  model->set_waiting(9999);
  model->set_waiting_limit(9999);
  model->set_waiting_high(9999);
  model->set_waiting_normal(9999);
  model->set_waiting_low(9999);
  model->set_loading(9999);
  model->set_storing(9999);
  stats.mutable_state_dir()->set_stored_states(99'999);
  stats.mutable_state_dir()->set_stored_bytes(999'000'000'000);
  stats.mutable_state_dir()->set_stored_bytes_limit(999'000'000'000);
  stats.mutable_state_dir()->set_store_queued(9999);
  for (const std::string& line : TopFrame(stats, {}, {}).Lines("127.0.0.1:50051")) {
    EXPECT_LE(line.size(), 80U) << line;
  }
}

TEST(TopFrame, WhatIsOutOfOrderStandsAtTheTop) {
  v1::GetStatsResponse stats = Stats(102, 1500);
  stats.set_device_failure("an illegal address");
  stats.add_kernels_off("scan");
  stats.add_kernels_off("norm");
  const auto lines = TopFrame(stats, {}, {}).Lines("host:1");
  EXPECT_EQ(lines[1], "the device has failed: an illegal address");
  EXPECT_EQ(lines[2], "fast kernels are off: scan, norm");
  EXPECT_THAT(DescribeStats(stats), Contains("fast kernels are off: scan, norm"));
}

TEST(TopFrame, JsonHasTheFiguresAndTheRates) {
  JsonWriter writer;
  TopFrame(Stats(102, 1500), Stats(100, 500), {{"tales", 1000}}).Write(&writer);
  rapidjson::Document json;
  json.Parse(writer.Take().c_str());
  ASSERT_FALSE(json.HasParseError());
  EXPECT_DOUBLE_EQ(json["models"][0]["sampled_per_second"].GetDouble(), 500);
  EXPECT_DOUBLE_EQ(json["models"][0]["first_token_ms"]["p95"].GetDouble(), 9.5);
  EXPECT_EQ(json["models"][0]["device_bytes"].GetInt(), 4000);
  EXPECT_EQ(json["models"][0]["failures"]["cancelled"].GetInt(), 10);
  EXPECT_EQ(json["models"][0]["loads"]["disk"].GetInt(), 100);
  EXPECT_EQ(json["models"][0]["evictions"]["device"].GetInt(), 20);
  EXPECT_DOUBLE_EQ(json["models"][0]["step_ms"]["mixed"]["p95"].GetDouble(), 9.5);
  EXPECT_EQ(json["stats"]["models"][0]["outcomes"]["internal"].GetInt(), 7);
  EXPECT_EQ(json["stats"]["models"][0]["steps_by_phase"]["mixed"]["counts"][0].GetInt(), 1500);
  EXPECT_EQ(json["stats"]["models"][0]["session_tiers"]["host"].GetInt(), 7);
  EXPECT_FALSE(json["stats"].HasMember("state_dir"));
}

TEST(StatsOutput, DescribesStatesPrefixesAndTheStateDirectory) {
  v1::GetStatsResponse stats = Stats(1, 100);
  stats.mutable_models(0)->mutable_prefixes()->set_queries(5);
  stats.mutable_models(0)->set_held_states(12);
  stats.mutable_state_dir()->set_log_failures(1);
  stats.mutable_state_dir()->set_store_failures(2);
  const auto lines = DescribeStats(stats);
  EXPECT_THAT(lines, Contains(HasSubstr("sessions: 7 host, 3 none")));
  EXPECT_THAT(lines, Contains("    requests: 100 ok, 1 cancelled, 7 internal"));
  EXPECT_THAT(lines, Contains(HasSubstr("12 held, 4 in slots")));
  EXPECT_THAT(lines, Contains(HasSubstr("of 5 prompts")));
  EXPECT_THAT(lines, Contains(HasSubstr("3 failures")));
}

}  // namespace
}  // namespace ssmd::ctl
