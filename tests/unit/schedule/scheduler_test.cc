#include "engine/schedule/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>

namespace ssmd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<int64_t> Shares(Scheduler* scheduler, const std::vector<LaneView>& lanes) {
  std::vector<int64_t> shares(lanes.size(), 0);
  for (const LaneShare& share : scheduler->Plan(lanes)) shares[share.lane] = share.tokens;
  return shares;
}

LaneView Prompt(int64_t ready, uint64_t order, int32_t tenant = 0, int64_t limit = 0) {
  return {ready, false, 0, order, tenant, limit};
}
LaneView Decoding(uint64_t last_step, uint64_t order) { return {1, true, last_step, order, 0, 0}; }

TEST(Scheduler, NothingToDoIsAnEmptyPlan) { EXPECT_THAT(Scheduler(8, 8).Plan({}), IsEmpty()); }

TEST(Scheduler, DecodesComeFirstAndPromptsGetTheRest) {
  Scheduler scheduler(8, 8);
  EXPECT_THAT(Shares(&scheduler, {Prompt(100, 1), Decoding(0, 2), Decoding(0, 3)}),
              ElementsAre(6, 1, 1));
}

TEST(Scheduler, ALonePromptGetsTheWholeBudget) {
  Scheduler scheduler(8, 8);
  EXPECT_THAT(Shares(&scheduler, {Prompt(100, 1)}), ElementsAre(8));
}

TEST(Scheduler, AShareEndsWhereAChunkDoesUnlessItEndsThePrompt) {
  EXPECT_EQ(CutAtChunk(0, 512, 600, 64), 512);
  EXPECT_EQ(CutAtChunk(5, 512, 600, 64), 507);  // to 512
  EXPECT_EQ(CutAtChunk(5, 64, 600, 64), 59);    // to 64
  EXPECT_EQ(CutAtChunk(5, 59, 600, 64), 59);
  EXPECT_EQ(CutAtChunk(5, 58, 600, 64), 58);  // does not get to 64
  EXPECT_EQ(CutAtChunk(64, 63, 600, 64), 63);
  EXPECT_EQ(CutAtChunk(64, 65, 600, 64), 64);
  EXPECT_EQ(CutAtChunk(5, 512, 512, 64), 512);  // the end
  EXPECT_EQ(CutAtChunk(100, 1, 1, 64), 1);
  EXPECT_EQ(CutAtChunk(5, 512, 600, 0), 512);  // no chunks
}

TEST(Scheduler, AShortPromptDoesNotWaitForALongOne) {
  Scheduler scheduler(8, 8);
  EXPECT_THAT(Shares(&scheduler, {Prompt(1000, 1), Prompt(3, 2)}), ElementsAre(5, 3));
  EXPECT_THAT(Shares(&scheduler, {Prompt(1000, 1), Prompt(4, 2), Prompt(4, 3)}),
              ElementsAre(4, 4, 0));
}

TEST(Scheduler, TheOldestPromptKeepsHalfAgainstShorterOnes) {
  Scheduler scheduler(8, 8);
  EXPECT_THAT(Shares(&scheduler, {Prompt(50, 2), Prompt(1000, 1), Prompt(20, 3)}),
              ElementsAre(0, 4, 4));
}

TEST(Scheduler, PromptsKeepAQuarterWhenDecodesFillTheBudget) {
  Scheduler scheduler(4, 4);
  std::vector<LaneView> lanes = {Prompt(100, 1)};
  for (uint64_t i = 2; i < 12; ++i) lanes.push_back(Decoding(0, i));
  const auto shares = Shares(&scheduler, lanes);
  EXPECT_EQ(shares[0], 1);
  EXPECT_EQ(std::accumulate(shares.begin(), shares.end(), int64_t{0}), 4);
}

TEST(Scheduler, PromptsGetNoMoreThanTheirBudgetWhileOthersDecode) {
  Scheduler scheduler(16, 3);
  EXPECT_THAT(Shares(&scheduler, {Prompt(100, 1), Decoding(0, 2), Decoding(0, 3)}),
              ElementsAre(3, 1, 1));
  EXPECT_THAT(Shares(&scheduler, {Prompt(100, 1, 1), Prompt(2, 2, 2), Decoding(0, 3)}),
              ElementsAre(2, 1, 1));
  EXPECT_THAT(Shares(&scheduler, {Prompt(100, 1, 1), Prompt(2, 2, 2)}), ElementsAre(14, 2));
}

TEST(Scheduler, WithABudgetOfOnePromptsGetEveryFourthStep) {
  Scheduler scheduler(1, 1);
  int prompt_steps = 0;
  for (int step = 1; step <= 40; ++step) {
    prompt_steps += Shares(&scheduler, {Prompt(100, 1), Decoding(0, 2)})[0] > 0 ? 1 : 0;
  }
  EXPECT_EQ(prompt_steps, 10);
}

TEST(Scheduler, TenantsShareWhatPromptsGetWhateverTheirNumber) {
  Scheduler scheduler(8, 8);
  EXPECT_THAT(
      Shares(&scheduler, {Prompt(90, 1, 1), Prompt(80, 2, 1), Prompt(70, 3, 1), Prompt(99, 4, 2)}),
      ElementsAre(2, 0, 2, 4));
}

TEST(Scheduler, ATenantLeavesToOthersWhatItCannotUse) {
  Scheduler scheduler(12, 12);
  EXPECT_THAT(Shares(&scheduler, {Prompt(100, 1, 1), Prompt(2, 2, 2), Prompt(100, 3, 3)}),
              ElementsAre(5, 2, 5));
  EXPECT_THAT(Shares(&scheduler, {Prompt(100, 1, 1), Prompt(100, 2, 2, 1), Prompt(3, 3, 3)}),
              ElementsAre(8, 1, 3));
}

TEST(Scheduler, TokensThatDoNotDivideGoRoundTheTenants) {
  Scheduler scheduler(4, 4);
  std::vector<int64_t> total(3, 0);
  for (int step = 0; step < 30; ++step) {
    const auto shares =
        Shares(&scheduler, {Prompt(999, 1, -7), Prompt(999, 2, 5), Prompt(999, 3, 1 << 30)});
    EXPECT_THAT(shares, ::testing::UnorderedElementsAre(1, 1, 2));
    for (size_t i = 0; i < 3; ++i) total[i] += shares[i];
  }
  EXPECT_THAT(total, ElementsAre(40, 40, 40));
}

TEST(Scheduler, EachTenantsOldestAndShortestTakeTurnsAtItsOddToken) {
  Scheduler scheduler(2, 2);
  std::vector<int64_t> total(4, 0);
  for (int step = 0; step < 10; ++step) {
    const auto shares = Shares(
        &scheduler, {Prompt(900, 1, 1), Prompt(800, 2, 1), Prompt(900, 3, 2), Prompt(800, 4, 2)});
    for (size_t i = 0; i < 4; ++i) total[i] += shares[i];
  }
  EXPECT_THAT(total, ElementsAre(5, 5, 5, 5));
}

TEST(Scheduler, ATenantThatComesBackBeginsWithItsOldest) {
  Scheduler scheduler(1, 1);
  const std::vector<LaneView> lanes = {Prompt(900, 1, 1), Prompt(800, 2, 1)};
  EXPECT_THAT(Shares(&scheduler, lanes), ElementsAre(1, 0));
  Shares(&scheduler, {Prompt(900, 3, 2)});
  EXPECT_THAT(Shares(&scheduler, lanes), ElementsAre(1, 0));
  EXPECT_THAT(Shares(&scheduler, lanes), ElementsAre(0, 1));
}

TEST(Scheduler, FeedsNoLanePastItsLimitInOneStep) {
  Scheduler scheduler(8, 8);
  EXPECT_THAT(Shares(&scheduler, {Prompt(100, 1, 0, 3)}), ElementsAre(3));
  EXPECT_THAT(Shares(&scheduler, {Prompt(100, 1, 0, 3), Prompt(90, 2, 0, 0)}), ElementsAre(3, 5));
  EXPECT_THAT(Shares(&scheduler, {Prompt(5, 1, 0, 64)}), ElementsAre(5)) << "a limit past the end";
}

TEST(Scheduler, ServesTheDecodesThatWaitedLongest) {
  Scheduler scheduler(2, 2);
  EXPECT_THAT(Shares(&scheduler, {Decoding(5, 1), Decoding(4, 2), Decoding(4, 3), Decoding(3, 4)}),
              ElementsAre(0, 1, 0, 1));
}

struct StartCase {
  const char* name;
  std::vector<int> needed;
  int free_slots, running, max_running;
  size_t expected;
};

class CountToStartTest : public ::testing::TestWithParam<StartCase> {};

TEST_P(CountToStartTest, StartsInOrderWithAllSlotsOrNone) {
  const StartCase& test = GetParam();
  EXPECT_EQ(CountToStart(test.needed, test.free_slots, test.running, test.max_running),
            test.expected);
}

INSTANTIATE_TEST_SUITE_P(, CountToStartTest,
                         ::testing::Values(StartCase{"NobodyWaits", {}, 4, 0, 4, 0},
                                           StartCase{"NoSlot", {1}, 0, 0, 4, 0},
                                           StartCase{"OneShort", {4}, 3, 0, 4, 0},
                                           StartCase{"JustEnough", {4}, 4, 0, 4, 1},
                                           StartCase{"NoOvertaking", {4, 1}, 3, 0, 4, 0},
                                           StartCase{"AsManyAsFit", {1, 2, 1, 1}, 4, 0, 9, 3},
                                           StartCase{"RunningLimit", {1, 1, 1}, 9, 2, 4, 2},
                                           StartCase{"RunningLimitReached", {1}, 9, 4, 4, 0}),
                         [](const auto& test) { return std::string(test.param.name); });

// Lanes that come, prefill, decode and go, over many steps and seeds.
class Simulation {
 public:
  explicit Simulation(uint32_t seed)
      : random_(seed),
        budget_(Pick(1, 40)),
        prompt_budget_(Pick(1, 40)),
        tenants_(Pick(0, 1) == 0 ? 1 : Pick(2, 5)),
        cuts_(Pick(0, 1)),
        scheduler_(budget_, prompt_budget_),
        to_arrive_(Pick(1, 60)) {}

  void Run() {
    for (step_ = 1; to_arrive_ > 0 || !lanes_.empty(); ++step_) {
      ASSERT_LT(step_, 200000u) << "it never ends";
      Arrive();
      RunStep();
      if (::testing::Test::HasFailure()) return;
    }
  }

 private:
  struct SimLane {
    int64_t prompt_left;
    int64_t decodes_left;
    uint64_t last_step = 0;
    uint64_t order;
    uint64_t arrived;
    int32_t tenant;
    int64_t cut;            // its state is wanted at every multiple; 0: never
    int64_t fed;            // of its prompt
    int64_t prompt_before;  // prompt tokens that were left of it and of its tenant's before it
  };

  int Pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

  void Arrive() {
    while (to_arrive_ > 0 && Pick(0, 3) == 0) {
      --to_arrive_;
      SimLane lane{Pick(1, Pick(0, 5) == 0 ? 2000 : 30),
                   Pick(0, 60),
                   0,
                   next_order_++,
                   step_,
                   Pick(1, tenants_),
                   Pick(0, 1) < cuts_ ? budget_ + Pick(0, 30) : 0,
                   0,
                   0};
      lane.prompt_before = lane.prompt_left;
      for (const SimLane& other : lanes_) {
        if (other.tenant == lane.tenant) lane.prompt_before += other.prompt_left;
      }
      lanes_.push_back(lane);
    }
  }

  void RunStep() {
    std::vector<LaneView> views;
    int64_t decoding_lanes = 0;
    int64_t prompt_tokens = 0;
    for (const SimLane& lane : lanes_) {
      const bool decoding = lane.prompt_left == 0;
      const int64_t limit = decoding || lane.cut == 0 ? 0 : lane.cut - lane.fed % lane.cut;
      views.push_back({decoding ? 1 : lane.prompt_left, decoding, lane.last_step, lane.order,
                       lane.tenant, limit});
      (decoding ? decoding_lanes : prompt_tokens) += views.back().feedable();
    }
    if (decoding_lanes > 0) prompt_tokens = std::min<int64_t>(prompt_tokens, prompt_budget_);
    int64_t total = 0;
    int64_t total_of_prompts = 0;
    for (const LaneShare& share : scheduler_.Plan(views)) {
      SimLane& lane = lanes_[share.lane];
      EXPECT_GE(share.tokens, 1);
      EXPECT_LE(share.tokens, views[share.lane].ready);
      const int64_t limit = views[share.lane].limit;
      EXPECT_TRUE(limit == 0 || share.tokens <= limit) << "past where its state is wanted";
      total += share.tokens;
      if (!views[share.lane].decoding) {
        lane.fed += share.tokens;
        total_of_prompts += share.tokens;
      }
      (lane.prompt_left > 0 ? lane.prompt_left : lane.decodes_left) -= share.tokens;
      lane.last_step = step_;
    }
    EXPECT_EQ(total, std::min<int64_t>(decoding_lanes + prompt_tokens, budget_))
        << "tokens that could have run did not";
    EXPECT_LE(total_of_prompts, prompt_tokens);
    CheckBounds();
    lanes_.erase(std::remove_if(lanes_.begin(), lanes_.end(),
                                [](const SimLane& lane) {
                                  return lane.prompt_left == 0 && lane.decodes_left == 0;
                                }),
                 lanes_.end());
  }

  void CheckBounds() {
    // Decodes get three quarters of the budget at least, in turn.
    const auto decode_wait_max = 4 * (lanes_.size() / static_cast<size_t>(3 * budget_) + 1) + 4;
    // A tenant's oldest prompt gets half of its part of what prompts keep at least, so that a
    // prompt ends when all of the tenant's before it would. A cut, which is no shorter than the
    // budget, costs it at most the rest of a step.
    const double kept_by_prompts = std::min(budget_ / 4.0, static_cast<double>(prompt_budget_));
    for (const SimLane& lane : lanes_) {
      if (lane.prompt_left > 0) {
        const auto steps_max = static_cast<uint64_t>(
            (1 + cuts_) * 2 * tenants_ * static_cast<double>(lane.prompt_before) / kept_by_prompts +
            16 * tenants_);
        EXPECT_LE(step_ - lane.arrived, steps_max) << "a prompt starves";
      } else if (lane.decodes_left > 0) {
        EXPECT_LE(step_ - lane.last_step, decode_wait_max) << "a decode starves";
      }
    }
  }

  std::mt19937 random_;
  const int budget_;
  const int prompt_budget_;
  const int tenants_;
  const int cuts_;  // 1: some prompts have them
  Scheduler scheduler_;
  int to_arrive_;
  uint64_t next_order_ = 1;
  uint64_t step_ = 0;
  std::vector<SimLane> lanes_;
};

TEST(SchedulerSimulation, NobodyStarvesAndNoTokenOfTheBudgetIsWasted) {
  for (uint32_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE(seed);
    Simulation(seed).Run();
    if (HasFailure()) return;
  }
}

TEST(SchedulerSimulation, TheSameCallsGiveTheSamePlans) {
  for (int run = 0; run < 3; ++run) {
    Scheduler a(5, 2);
    Scheduler b(5, 2);
    std::vector<LaneView> lanes = {Prompt(9, 1), Decoding(1, 2), Decoding(0, 3), Prompt(4, 4, 9)};
    for (int step = 0; step < 10; ++step) EXPECT_EQ(Shares(&a, lanes), Shares(&b, lanes));
  }
}

}  // namespace
}  // namespace ssmd
