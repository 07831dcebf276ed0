#include "clients/bench/distribution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "clients/bench/workload.h"

namespace ssmd::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::vector<double> Draws(const char* text, int count, uint64_t seed = 1) {
  const auto distribution = Distribution::Parse(text);
  EXPECT_TRUE(distribution.ok()) << text;
  if (!distribution.ok()) return {};
  Random random(seed);
  std::vector<double> values;
  values.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) values.push_back(distribution.value().Draw(&random, 0, 1e9));
  std::sort(values.begin(), values.end());
  return values;
}

TEST(Distribution, OfOneValueIsThatValue) {
  EXPECT_THAT(Draws("512", 10), ::testing::Each(512.0));
  EXPECT_TRUE(Distribution::Parse("0.5").value().is_fixed());
}

TEST(Distribution, LognormalHasItsMedianAndSpread) {
  const auto values = Draws("lognormal:300:0.8", 20001);
  EXPECT_NEAR(values[10000], 300, 10);
  // One standard deviation of the logarithm above: 84.1%.
  EXPECT_NEAR(values[16827], 300 * std::exp(0.8), 30);
}

TEST(Distribution, ExponentialHasItsMean) {
  const auto values = Draws("exponential:5", 20000);
  double sum = 0;
  for (const double value : values) sum += value;
  EXPECT_NEAR(sum / 20000, 5, 0.2);
}

TEST(Distribution, UniformCountsAreAllAsLikely) {
  const auto distribution = Distribution::Parse("uniform:3:6").value();
  Random random(1);
  std::map<int64_t, int> counts;
  for (int i = 0; i < 8000; ++i) ++counts[distribution.DrawCount(&random, 0, 100)];
  ASSERT_THAT(counts, SizeIs(4));
  for (const auto& [value, count] : counts) EXPECT_NEAR(count, 2000, 200) << value;
}

TEST(Distribution, IsTheSameForASeedAndKeepsItsLimits) {
  EXPECT_EQ(Draws("lognormal:9:2", 50, 3), Draws("lognormal:9:2", 50, 3));
  EXPECT_NE(Draws("lognormal:9:2", 50, 3), Draws("lognormal:9:2", 50, 4));
  const auto wide = Distribution::Parse("lognormal:100:5").value();
  Random random(1);
  for (int i = 0; i < 1000; ++i) {
    const int64_t count = wide.DrawCount(&random, 1, 200);
    EXPECT_GE(count, 1);
    EXPECT_LE(count, 200);
  }
}

TEST(Distribution, WhatIsNoneIsAnErrorThatSaysWhatIs) {
  for (const char* text :
       {"", "x", "-1", "1e12", "nan", "inf", "1:2", "uniform:5", "uniform:5:4", "uniform:1:2:3",
        "lognormal:0:1", "lognormal:5:99", "exponential:", "poisson:3", "uniform:1:2x", ":"}) {
    const auto parsed = Distribution::Parse(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_THAT(parsed.error().message, HasSubstr("lognormal:MEDIAN:SIGMA"));
  }
}

WorkloadOptions DrawnWorkload() {
  WorkloadOptions options;
  options.lengths = true;
  options.prompt_tokens = Distribution::Parse("uniform:10:50").value();
  options.max_tokens = Distribution::Parse("uniform:1:9").value();
  options.turns = Distribution(3);
  options.think_seconds = Distribution(2);
  options.shared_prefix_tokens = 8;
  return options;
}

TEST(Workload, AConversationIsAFunctionOfSeedAndNumber) {
  const Workload workload(DrawnWorkload());
  const auto conversation = workload.Make(5);
  const auto again = workload.Make(5);
  const auto other = workload.Make(6);
  ASSERT_THAT(conversation.turns, SizeIs(3));
  EXPECT_EQ(conversation.turns[0].token_ids, again.turns[0].token_ids);
  EXPECT_EQ(conversation.turns[2].seed, again.turns[2].seed);
  EXPECT_NE(conversation.turns[0].token_ids, other.turns[0].token_ids);
  EXPECT_TRUE(std::equal(other.turns[0].token_ids.begin(), other.turns[0].token_ids.begin() + 8,
                         conversation.turns[0].token_ids.begin()));
  EXPECT_EQ(conversation.turns[0].think_seconds, 0);
  EXPECT_EQ(conversation.turns[1].think_seconds, 2);
}

TEST(Workload, WritesWordsWhereIdsCannotBeSent) {
  WorkloadOptions options = DrawnWorkload();
  options.as_words = true;
  options.prompt_tokens = Distribution(12);
  const auto turn = Workload(options).Make(0).turns[0];
  EXPECT_THAT(turn.token_ids, IsEmpty());
  EXPECT_EQ(std::count(turn.text.begin(), turn.text.end(), ' '), 12);
}

TEST(Workload, WritesRealConversationsAsTheModelWillSeeThem) {
  WorkloadOptions options;
  options.conversations = {{"Be kind.", {"Hi", "Bye"}}, {"", {"Next"}}};
  const auto plain = Workload(options).Make(2);  // the first again
  ASSERT_THAT(plain.turns, SizeIs(2));
  EXPECT_EQ(plain.turns[0].text, "Be kind.\nUser: Hi\nAssistant:");
  EXPECT_EQ(plain.turns[1].text, "\nUser: Bye\nAssistant:");
  EXPECT_EQ(plain.system, "");
  options.chat = true;
  const auto chat = Workload(options).Make(0);
  EXPECT_EQ(chat.system, "Be kind.");
  EXPECT_EQ(chat.turns[1].text, "Bye");
}

TEST(Workload, SingleRequestsHaveOneSeedAfterTheOther) {
  WorkloadOptions options{.prompt = "Hi", .seed = 100};
  const Workload workload(options);
  EXPECT_EQ(workload.Make(0).turns[0].seed, 100u);
  EXPECT_EQ(workload.Make(7).turns[0].seed, 107u);
  EXPECT_THAT(workload.Make(7).turns[0].text, StartsWith("Hi"));
}

}  // namespace
}  // namespace ssmd::bench
