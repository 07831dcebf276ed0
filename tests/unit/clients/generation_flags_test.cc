#include "clients/ssmctl/generation_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

namespace ssmd::ctl {
namespace {

using ::testing::ElementsAre;

// The request of a command line, or what is wrong with it.
std::optional<std::string> Parse(std::vector<std::string> arguments, v1::GenerateRequest* request) {
  GenerationFlags flags;
  CLI::App app;
  flags.AddTo(&app);
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
  app.parse(arguments);
  return flags.Apply(request);
}

TEST(GenerationFlags, WhatIsNotGivenStaysAbsent) {
  v1::GenerateRequest request;
  ASSERT_FALSE(Parse({}, &request));
  EXPECT_FALSE(request.has_max_tokens());
  EXPECT_EQ(request.sampling().ByteSizeLong(), 0u);
  EXPECT_EQ(request.stop().ByteSizeLong(), 0u);
}

TEST(GenerationFlags, ZeroIsNotAbsent) {
  v1::GenerateRequest request;
  ASSERT_FALSE(Parse({"--temperature", "0", "--seed=0", "--max-tokens", "0"}, &request));
  EXPECT_TRUE(request.sampling().has_temperature());
  EXPECT_TRUE(request.sampling().has_seed());
  EXPECT_TRUE(request.has_max_tokens());
}

TEST(GenerationFlags, NegativeValuesAndTheWholeRangeOfSeedsAreTaken) {
  v1::GenerateRequest request;
  ASSERT_FALSE(Parse({"--presence-penalty", "-1.5", "--seed", "18446744073709551615"}, &request));
  EXPECT_EQ(request.sampling().presence_penalty(), -1.5f);
  EXPECT_EQ(request.sampling().seed(), std::numeric_limits<uint64_t>::max());
}

TEST(GenerationFlags, StopsRepeatAndKeepWhatTheyHold) {
  v1::GenerateRequest request;
  ASSERT_FALSE(Parse({"--stop", "a,b", "--stop", "[x]", "--stop-token", "5", "--stop-token", "6"},
                     &request));
  EXPECT_THAT(request.stop().strings(), ElementsAre("a,b", "[x]"));
  EXPECT_THAT(request.stop().token_ids(), ElementsAre(5, 6));
}

TEST(GenerationFlags, BiasIsAnIdAndAValue) {
  v1::GenerateRequest request;
  ASSERT_FALSE(Parse({"--logit-bias", "5=-100", "--logit-bias", "6=0.5"}, &request));
  EXPECT_EQ(request.sampling().logit_bias().at(5), -100);
  EXPECT_EQ(request.sampling().logit_bias().at(6), 0.5f);
  for (const char* bad : {"5", "=1", "5=", "x=1", "5=1x", "5=1=2"}) {
    EXPECT_TRUE(Parse({"--logit-bias", bad}, &request)) << bad;
  }
}

TEST(GenerationFlags, PriorityIsAWordOrANumber) {
  const std::pair<const char*, int> kCases[] = {
      {"low", -1}, {"normal", 0}, {"high", 1}, {"-100", -100}, {"7", 7}};
  for (const auto& [text, value] : kCases) {
    v1::GenerateRequest request;
    ASSERT_FALSE(Parse({"--priority", text}, &request)) << text;
    EXPECT_TRUE(request.has_priority());
    EXPECT_EQ(request.priority(), value);
  }
  v1::GenerateRequest request;
  EXPECT_TRUE(Parse({"--priority", "urgent"}, &request));
  ASSERT_FALSE(Parse({}, &request));
  EXPECT_FALSE(request.has_priority());
}

TEST(GenerationFlags, AStopThatIsNotUtf8IsRefused) {
  v1::GenerateRequest request;
  EXPECT_TRUE(Parse({"--stop", "\xff"}, &request));
}

}  // namespace
}  // namespace ssmd::ctl
