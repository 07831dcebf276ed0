#include "engine/sample/penalties.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace ssmd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

MATCHER_P3(Adjusts, token_id, repeated, add, "") {
  return arg.token_id == token_id && arg.repeated == repeated && arg.add == add;
}

LoggedToken Fed(int32_t id) { return {id, false}; }
LoggedToken Sampled(int32_t id) { return {id, true}; }

TEST(LogitAdjustments, NothingToDoIsNothing) {
  EXPECT_THAT(LogitAdjustments({}, {Fed(1), Sampled(2)}), IsEmpty());
  EXPECT_THAT(LogitAdjustments({.repetition = 2, .presence = 1}, {}), IsEmpty());
}

TEST(LogitAdjustments, RepetitionLooksAtEveryTokenOthersAtSampledOnes) {
  const std::vector<LoggedToken> history = {Sampled(9), Fed(3), Sampled(7), Fed(7), Sampled(7)};
  EXPECT_THAT(LogitAdjustments({.repetition = 1.5f}, history),
              ElementsAre(Adjusts(3, true, 0.f), Adjusts(7, true, 0.f), Adjusts(9, true, 0.f)));
  EXPECT_THAT(LogitAdjustments({.presence = 0.5f}, history),
              ElementsAre(Adjusts(7, false, -0.5f), Adjusts(9, false, -0.5f)));
  EXPECT_THAT(LogitAdjustments({.frequency = 0.25f}, history),
              ElementsAre(Adjusts(7, false, -0.5f), Adjusts(9, false, -0.25f)));
  EXPECT_THAT(
      LogitAdjustments({.repetition = 2, .presence = 1, .frequency = -0.25f}, history),
      ElementsAre(Adjusts(3, true, 0.f), Adjusts(7, true, -0.5f), Adjusts(9, true, -0.75f)));
}

TEST(LogitAdjustments, OnlyTheWindowCounts) {
  const std::vector<LoggedToken> history = {Sampled(1), Sampled(2), Sampled(3)};
  PenaltyParams params{.presence = 1};
  params.window = 2;
  EXPECT_THAT(LogitAdjustments(params, history),
              ElementsAre(Adjusts(2, false, -1.f), Adjusts(3, false, -1.f)));
  params.window = 0;
  EXPECT_THAT(LogitAdjustments(params, history), IsEmpty());
  params.window = 3;
  EXPECT_EQ(LogitAdjustments(params, history).size(), 3u);
}

TEST(LogitAdjustments, TheWindowHasALimit) {
  std::vector<LoggedToken> history;
  for (int32_t id = 0; id <= kPenaltyWindowMax; ++id) history.push_back(Sampled(id));
  PenaltyParams params{.presence = 1};
  params.window = kPenaltyWindowMax + 1;
  const auto adjustments = LogitAdjustments(params, history);
  ASSERT_EQ(adjustments.size(), static_cast<size_t>(kPenaltyWindowMax));
  EXPECT_EQ(adjustments.front().token_id, 1);
}

TEST(LogitAdjustments, BiasAddsToPenalties) {
  const std::vector<LoggedToken> history = {Sampled(5)};
  PenaltyParams params;
  params.logit_bias = {{8, 2.f}, {5, 1.f}, {6, 0.f}};
  EXPECT_THAT(LogitAdjustments(params, history),
              ElementsAre(Adjusts(5, false, 1.f), Adjusts(8, false, 2.f)));
  params.presence = 0.25f;
  params.repetition = 2;
  EXPECT_THAT(LogitAdjustments(params, history),
              ElementsAre(Adjusts(5, true, 0.75f), Adjusts(8, false, 2.f)));
}

}  // namespace
}  // namespace ssmd
