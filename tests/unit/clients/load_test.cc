#include "clients/bench/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/unit/clients/fake_timeline.h"

namespace ssmd::bench {
namespace {

using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::SizeIs;

// A server whose answers take as long as a test says, in milliseconds: three tokens, of which the
// first comes after a half and the others at the end.
class PuppetEndpoint final : public Endpoint {
 public:
  using Service = std::function<double(int request)>;
  PuppetEndpoint(FakeTimeline* timeline, Service service_ms)
      : timeline_(timeline), service_ms_(std::move(service_ms)) {}

  std::unique_ptr<Dialogue> Open(const std::string&, size_t) override {
    ++open;
    ++opened;
    return std::make_unique<Puppet>(this);
  }

  int open = 0;
  int opened = 0;
  int in_flight = 0;
  int in_flight_max = 0;
  std::vector<double> sent_s;
  std::set<uint64_t> seeds;
  std::function<bool(int request)> fails = [](int) { return false; };

 private:
  class Puppet final : public Dialogue {
   public:
    explicit Puppet(PuppetEndpoint* endpoint) : endpoint_(endpoint) {}
    void Run(const PlannedTurn& turn, std::function<void(TurnResult)> done) override {
      endpoint_->Answer(turn, std::move(done));
    }
    void Close(std::function<void()> done) override {
      --endpoint_->open;
      done();
    }

   private:
    PuppetEndpoint* const endpoint_;
  };

  void Answer(const PlannedTurn& turn, std::function<void(TurnResult)> done) {
    const int request = static_cast<int>(sent_s.size());
    sent_s.push_back(timeline_->seconds());
    seeds.insert(turn.seed);
    in_flight_max = std::max(in_flight_max, ++in_flight);
    const double ms = service_ms_(request);
    TurnResult result;
    result.first_token = timeline_->Now() + DurationOf(ms / 2000);
    result.end = timeline_->Now() + DurationOf(ms / 1000);
    result.gaps_ms = {ms / 4, ms / 4};
    result.prompt_tokens = 2;
    result.generated_tokens = 3;
    if (fails(request)) result.error = "RESOURCE_EXHAUSTED";
    timeline_->At(result.end, [this, result, done = std::move(done)] {
      --in_flight;
      done(result);
    });
  }

  FakeTimeline* const timeline_;
  const Service service_ms_;
};

class LoadTest : public ::testing::Test {
 protected:
  void Run() {
    Load load(&timeline_, &endpoint_, &workload_, options_, [this] { ++ends_; });
    load.Start();
    timeline_.Run(stop_after_s_);
    if (stop_after_s_ < 1e6) load.Stop();
    timeline_.Run();
    EXPECT_EQ(ends_, 1);
    EXPECT_EQ(endpoint_.open, 0);
    report_ = load.report();
  }

  FakeTimeline timeline_;
  double service_ms_ = 100;
  PuppetEndpoint endpoint_{&timeline_, [this](int) { return service_ms_; }};
  WorkloadOptions workload_options_{.prompt = "Hi"};
  Workload workload_{workload_options_};
  LoadOptions options_;
  double stop_after_s_ = 1e6;
  int ends_ = 0;
  LoadReport report_;
};

TEST(Percentiles, AreNearestRanks) {
  std::vector<double> values;
  for (int i = 100; i >= 1; --i) values.push_back(i);
  const Percentiles result = PercentilesOf(values);
  EXPECT_DOUBLE_EQ(result.mean, 50.5);
  EXPECT_EQ(result.p50, 50);
  EXPECT_EQ(result.p90, 90);
  EXPECT_EQ(result.p95, 95);
  EXPECT_EQ(result.p99, 99);
  EXPECT_EQ(result.max, 100);
}

TEST(Percentiles, OfOneAndOfNone) {
  EXPECT_EQ(PercentilesOf({3}).p50, 3);
  EXPECT_EQ(PercentilesOf({3}).p99, 3);
  EXPECT_EQ(PercentilesOf({}).max, 0);
}

TEST(Samples, PastTheirLimitKeepAnEvenSampleAndExactSums) {
  Samples samples(1000);
  for (int i = 1; i <= 100000; ++i) samples.Add(i);
  EXPECT_THAT(samples.kept(), SizeIs(1000));
  EXPECT_EQ(samples.count(), 100000);
  EXPECT_EQ(samples.Summary().max, 100000);
  EXPECT_DOUBLE_EQ(samples.Summary().mean, 50000.5);
  EXPECT_THAT(samples.Summary().p50, DoubleNear(50000, 6000));
}

TEST(Samples, MergedAreThoseOfBoth) {
  Samples first;
  Samples second;
  for (const double value : {1.0, 2.0}) first.Add(value);
  second.Add(9);
  first.Merge(second);
  first.Merge(Samples());
  EXPECT_EQ(first.count(), 3);
  EXPECT_EQ(first.Summary().max, 9);
  EXPECT_DOUBLE_EQ(first.Summary().mean, 4);
}

TEST_F(LoadTest, AClosedLoopAsksAgainWhenItHasItsAnswer) {
  options_.streams = 3;
  options_.duration = std::chrono::seconds(1);
  Run();
  EXPECT_EQ(report_.succeeded, 30);
  EXPECT_EQ(report_.generated_tokens, 90);
  EXPECT_EQ(report_.prompt_tokens, 60);
  EXPECT_DOUBLE_EQ(report_.seconds, 1);
  EXPECT_DOUBLE_EQ(report_.tokens_per_s(), 90);
  EXPECT_EQ(endpoint_.in_flight_max, 3);
  EXPECT_THAT(endpoint_.seeds, SizeIs(30));  // each request its own
  EXPECT_THAT(report_.first_token_ms.kept(), Each(DoubleNear(50, 1e-3)));
  EXPECT_THAT(report_.total_ms.kept(), Each(DoubleNear(100, 1e-3)));
  EXPECT_THAT(report_.inter_token_ms.kept(), SizeIs(60));
}

TEST_F(LoadTest, StopsAfterSoManyRequests) {
  options_.streams = 3;
  options_.requests = 7;
  Run();
  EXPECT_EQ(report_.succeeded, 7);
}

TEST_F(LoadTest, CountsErrorsByCode) {
  endpoint_.fails = [](int request) { return request % 4 == 3; };
  options_.requests = 20;
  Run();
  EXPECT_EQ(report_.succeeded, 15);
  EXPECT_EQ(report_.errors, (std::map<std::string, int64_t>{{"RESOURCE_EXHAUSTED", 5}}));
  EXPECT_THAT(report_.first_token_ms.kept(), SizeIs(15));
}

TEST_F(LoadTest, AnOpenLoopStartsWhatIsDueWhateverTheAnswersDo) {
  options_.streams = 64;
  options_.rate = 10;
  options_.duration = std::chrono::seconds(1);
  service_ms_ = 3000;
  Run();
  EXPECT_THAT(endpoint_.sent_s, SizeIs(10));
  EXPECT_NEAR(endpoint_.sent_s[9], 0.9, 1e-6);
  EXPECT_NEAR(report_.seconds, 3.9, 1e-6);
  EXPECT_THAT(report_.send_delay_ms.kept(), Each(DoubleNear(0, 1e-3)));
}

// The server stands still for two seconds. Clients that only measured what they sent would see one
// slow request; those that were due meanwhile were as slow for their users.
TEST_F(LoadTest, TimesOfAnOpenLoopCountFromWhenARequestWasDue) {
  PuppetEndpoint stalls(&timeline_, [](int request) { return request == 5 ? 2000.0 : 10.0; });
  options_.streams = 1;
  options_.rate = 10;
  options_.duration = std::chrono::seconds(4);
  Load load(&timeline_, &stalls, &workload_, options_, [this] { ++ends_; });
  load.Start();
  timeline_.Run();
  ASSERT_EQ(ends_, 1);
  const LoadReport& report = load.report();
  EXPECT_EQ(report.succeeded, 40);
  // Those due 0.1, 0.2, … s after the stall began waited 1.9, 1.8, … s for it to end.
  const auto& totals = report.total_ms.kept();
  EXPECT_NEAR(totals[5], 2000, 1e-3);
  EXPECT_NEAR(totals[6], 1900 + 10, 1e-3);
  EXPECT_NEAR(totals[7], 1800 + 20, 1e-3);
  EXPECT_NEAR(report.send_delay_ms.kept()[7], 1800 + 10, 1e-3);
  EXPECT_EQ(std::count_if(totals.begin(), totals.end(), [](double ms) { return ms > 100; }), 22);
  EXPECT_NEAR(totals.back(), 10, 1e-3);
}

TEST_F(LoadTest, WhatIsDueInTheWarmUpIsAskedAndNotCounted) {
  options_.streams = 2;
  options_.warm_up = std::chrono::seconds(1);
  options_.duration = std::chrono::seconds(2);
  Run();
  EXPECT_THAT(endpoint_.sent_s, SizeIs(60));
  EXPECT_EQ(report_.succeeded, 40);
  EXPECT_NEAR(report_.seconds, 2, 1e-6);
}

TEST_F(LoadTest, TurnsFollowOneAnotherWithTimeToThink) {
  workload_options_.turns = Distribution(3);
  workload_options_.think_seconds = Distribution(0.5);
  const Workload workload(workload_options_);
  options_.requests = 6;
  Load load(&timeline_, &endpoint_, &workload, options_, [this] { ++ends_; });
  load.Start();
  timeline_.Run();
  EXPECT_EQ(ends_, 1);
  EXPECT_EQ(endpoint_.opened, 2);
  ASSERT_THAT(endpoint_.sent_s, SizeIs(6));
  // The first conversation's turns, and then at once the second's first.
  EXPECT_NEAR(endpoint_.sent_s[1], 0.6, 1e-6);
  EXPECT_NEAR(endpoint_.sent_s[2], 1.2, 1e-6);
  EXPECT_NEAR(endpoint_.sent_s[3], 1.3, 1e-6);
  ASSERT_THAT(load.report().first_token_by_turn, SizeIs(3));
  for (const Samples& turn : load.report().first_token_by_turn) EXPECT_EQ(turn.count(), 2);
  // A later turn is due when its user has thought.
  EXPECT_THAT(load.report().total_ms.kept(), Each(DoubleNear(100, 1e-3)));
}

TEST_F(LoadTest, AFailedTurnEndsItsConversation) {
  workload_options_.turns = Distribution(3);
  const Workload workload(workload_options_);
  endpoint_.fails = [](int request) { return request == 1; };
  options_.requests = 3;
  Load load(&timeline_, &endpoint_, &workload, options_, [this] { ++ends_; });
  load.Start();
  timeline_.Run();
  EXPECT_EQ(endpoint_.opened, 2);
  EXPECT_EQ(load.report().first_token_by_turn.size(), 1u);
}

TEST_F(LoadTest, StoppedItWaitsForWhatIsUnderWayAlone) {
  options_.streams = 1;
  options_.rate = 10;
  options_.duration = std::chrono::seconds(1000);
  service_ms_ = 1000;
  stop_after_s_ = 3.5;
  Run();
  EXPECT_EQ(report_.succeeded, 4);
  EXPECT_NEAR(report_.seconds, 4, 1e-6);
}

TEST_F(LoadTest, GoodputCountsWhatKeptItsObjectives) {
  PuppetEndpoint mixed(&timeline_, [](int request) { return request % 4 == 0 ? 1000.0 : 100.0; });
  options_.requests = 8;
  options_.objectives = {.first_token_ms = 400, .inter_token_ms = 30};
  mixed.fails = [](int request) { return request == 1; };
  Load load(&timeline_, &mixed, &workload_, options_, [] {});
  load.Start();
  timeline_.Run();
  EXPECT_EQ(load.report().good, 5);
  EXPECT_DOUBLE_EQ(load.report().good_share(), 5.0 / 8);
}

TEST(Arrivals, ThatAreFixedAreEvenlySpaced) {
  Arrivals arrivals(Arrivals::Kind::kFixed, 4, 1);
  EXPECT_EQ(arrivals.Next(), DurationOf(0));
  EXPECT_EQ(arrivals.Next(), DurationOf(0.25));
  EXPECT_EQ(arrivals.Next(), DurationOf(0.5));
}

TEST(Arrivals, OfPoissonHaveTheirRateAndAreTheSameForASeed) {
  Arrivals arrivals(Arrivals::Kind::kPoisson, 50, 7);
  Arrivals same(Arrivals::Kind::kPoisson, 50, 7);
  Duration before{};
  int short_gaps = 0;
  for (int i = 0; i < 10000; ++i) {
    const Duration next = arrivals.Next();
    ASSERT_EQ(next, same.Next());
    ASSERT_GE(next, before);
    if (SecondsOf(next - before) < 0.02) ++short_gaps;
    before = next;
  }
  EXPECT_NEAR(SecondsOf(before), 200, 8);
  EXPECT_NEAR(short_gaps, 6321, 200);  // 1 - 1/e of them are below the mean
}

}  // namespace
}  // namespace ssmd::bench
