#include "engine/schedule/start_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <random>

#include "engine/schedule/scheduler.h"

namespace ssmd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Duration kAgeing = seconds(5);

WaitingTurn Waiting(absl::string_view tenant, uint64_t sequence, int priority = 0,
                    Duration submitted = seconds(100), int64_t tokens = 10) {
  return {priority, tenant, submitted, sequence, tokens};
}

std::vector<size_t> OrderAt(StartPolicy* policy, const std::vector<WaitingTurn>& waiting,
                            Duration now = seconds(100),
                            const std::vector<absl::string_view>& running = {}) {
  return policy->Order(waiting, running, now);
}

TEST(StartPolicy, NobodyWaits) {
  StartPolicy policy;
  EXPECT_THAT(OrderAt(&policy, {}), IsEmpty());
  EXPECT_EQ(policy.counters(), 0u);
}

TEST(StartPolicy, HigherPrioritiesStartFirstAndOtherwiseFirstComeFirstServed) {
  StartPolicy policy;
  EXPECT_THAT(
      OrderAt(&policy, {Waiting("ann", 5), Waiting("ann", 1, kPriorityLow), Waiting("ann", 4),
                        Waiting("ann", 6, kPriorityHigh), Waiting("ann", 3, kPriorityHigh)}),
      ElementsAre(4, 3, 2, 0, 1));
}

TEST(StartPolicy, PrioritiesOutsideTheClassesCountAsTheNearest) {
  StartPolicy policy;
  EXPECT_THAT(OrderAt(&policy, {Waiting("ann", 1, kPriorityHigh), Waiting("ann", 2, 1 << 30),
                                Waiting("ann", 3, kPriorityLow), Waiting("ann", 4, -(1 << 30))}),
              ElementsAre(0, 1, 2, 3));
}

TEST(StartPolicy, ATurnRisesByAClassForEveryIntervalUpToTheHighest) {
  const struct {
    int priority;
    Duration waited;
    size_t place;  // among a high, a normal and a low one of the same tenant that came later
  } cases[] = {
      {kPriorityLow, Duration::zero(), 2},
      {kPriorityLow, kAgeing - Duration(1), 2},
      {kPriorityLow, kAgeing, 1},
      {kPriorityLow, 2 * kAgeing - Duration(1), 1},
      {kPriorityLow, 2 * kAgeing, 0},
      {kPriorityLow, 1000000 * kAgeing, 0},
      {kPriorityNormal, kAgeing - Duration(1), 1},
      {kPriorityNormal, kAgeing, 0},
      {kPriorityHigh, Duration::zero(), 0},
      {kPriorityNormal, -kAgeing, 1},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.waited.count());
    const Duration now = seconds(100000000);
    StartPolicy policy(kAgeing);
    const auto order = OrderAt(
        &policy,
        {Waiting("ann", 1, test.priority, now - test.waited), Waiting("ann", 2, kPriorityHigh, now),
         Waiting("ann", 3, kPriorityNormal, now), Waiting("ann", 4, kPriorityLow, now)},
        now);
    EXPECT_EQ(std::find(order.begin(), order.end(), 0u) - order.begin(),
              static_cast<std::ptrdiff_t>(test.place));
  }
}

TEST(StartPolicy, AgedTurnsCompeteWithThoseWhoAskedForTheirClass) {
  StartPolicy policy(kAgeing);
  EXPECT_THAT(
      OrderAt(&policy, {Waiting("ann", 1, 0, seconds(0)), Waiting("ann", 2, 0, seconds(0)),
                        Waiting("bob", 3, kPriorityHigh), Waiting("bob", 4, kPriorityHigh)}),
      ElementsAre(0, 2, 1, 3));
}

TEST(StartPolicy, AnOldBacklogDoesNotPassByOthersTurns) {
  StartPolicy policy(kAgeing);
  EXPECT_THAT(OrderAt(&policy, {Waiting("ann", 1, 0, seconds(0)), Waiting("ann", 2, 0, seconds(0)),
                                Waiting("ann", 3, 0, seconds(0)), Waiting("bob", 4)}),
              ElementsAre(0, 3, 1, 2));
  EXPECT_THAT(OrderAt(&policy, {Waiting("ann", 1, 0, seconds(0)), Waiting("ann", 2, 0, seconds(0)),
                                Waiting("ann", 3, 0, seconds(0)), Waiting("bob", 4),
                                Waiting("cid", 5, kPriorityHigh)}),
              ElementsAre(0, 4, 3, 1, 2))
      << "once the high one has its place, all are equal again";
}

TEST(StartPolicy, TenantsTakeTurns) {
  StartPolicy policy;
  EXPECT_THAT(OrderAt(&policy, {Waiting("ann", 1), Waiting("ann", 2), Waiting("ann", 3),
                                Waiting("bob", 4), Waiting("bob", 5), Waiting("cid", 6)}),
              ElementsAre(0, 3, 5, 1, 4, 2));
}

TEST(StartPolicy, LongPromptsCostTheirTenantMore) {
  StartPolicy policy;
  EXPECT_THAT(OrderAt(&policy, {Waiting("ann", 1, 0, seconds(100), 25), Waiting("ann", 2),
                                Waiting("bob", 3), Waiting("bob", 4), Waiting("bob", 5)}),
              ElementsAre(0, 2, 3, 4, 1));
}

TEST(StartPolicy, TheTenantThatWasServedLessIsNext) {
  StartPolicy policy;
  const std::vector<WaitingTurn> waiting = {Waiting("ann", 1), Waiting("bob", 2)};
  EXPECT_THAT(OrderAt(&policy, waiting), ElementsAre(0, 1));
  policy.Charge("ann", 1);
  EXPECT_THAT(OrderAt(&policy, waiting), ElementsAre(1, 0));
  policy.Charge("bob", 2);
  EXPECT_THAT(OrderAt(&policy, waiting), ElementsAre(0, 1));
}

TEST(StartPolicy, NobodySavesUpByStayingAway) {
  StartPolicy policy;
  OrderAt(&policy, {Waiting("ann", 1), Waiting("bob", 2)});
  OrderAt(&policy, {Waiting("ann", 1)});
  policy.Charge("ann", 1000000);
  EXPECT_THAT(OrderAt(&policy, {Waiting("ann", 3), Waiting("ann", 4), Waiting("bob", 5),
                                Waiting("bob", 6), Waiting("new", 7)}),
              ElementsAre(0, 2, 4, 1, 3));
}

TEST(StartPolicy, GoingAwayDoesNotClearADebt) {
  StartPolicy policy;
  OrderAt(&policy, {Waiting("ann", 1), Waiting("bob", 2)});
  policy.Charge("ann", 100);
  OrderAt(&policy, {Waiting("bob", 2)});
  EXPECT_EQ(policy.counters(), 2u);
  const std::vector<WaitingTurn> waiting = {Waiting("ann", 3), Waiting("bob", 4)};
  EXPECT_THAT(OrderAt(&policy, waiting), ElementsAre(1, 0));

  OrderAt(&policy, {Waiting("bob", 4)});
  policy.Charge("bob", 100);
  OrderAt(&policy, {Waiting("bob", 4)});
  EXPECT_EQ(policy.counters(), 1u) << "bob has caught up";
  EXPECT_THAT(OrderAt(&policy, waiting), ElementsAre(0, 1));
}

TEST(StartPolicy, WhoeverRunsHasNotLeft) {
  StartPolicy policy;
  OrderAt(&policy, {Waiting("ann", 1), Waiting("bob", 2)});
  OrderAt(&policy, {Waiting("bob", 2)}, seconds(100), {"ann", "ann"});
  policy.Charge("bob", 100);
  // Ann has kept what she is owed.
  EXPECT_THAT(OrderAt(&policy, {Waiting("bob", 3), Waiting("ann", 4), Waiting("ann", 5)}),
              ElementsAre(1, 2, 0));
}

TEST(StartPolicy, KeepsNoCountersOfThoseWhoAreGone) {
  StartPolicy policy;
  for (int i = 0; i < 1000; ++i) {
    const std::string tenant = std::to_string(i);
    OrderAt(&policy, {Waiting("stays", 1), Waiting(tenant, 2)});
    policy.Charge(tenant, 5);
    policy.Charge("stays", 10);
    EXPECT_LE(policy.counters(), 3u);
  }
  policy.Charge("unknown", 1000);
  EXPECT_LE(policy.counters(), 3u);
  OrderAt(&policy, {});
  EXPECT_EQ(policy.counters(), 0u);
}

// --- Simulations: a server with some slots, whose running turns are fed a token a step each ---

constexpr Duration kStep = milliseconds(100);

struct SimTurn {
  std::string tenant;
  int priority;
  int slots;
  int length;
  uint64_t sequence;
  int64_t submitted;  // step
};

class SimServer {
 public:
  explicit SimServer(int slots) : slots_(slots) {}

  void Submit(const std::string& tenant, int priority, int slots, int length) {
    waiting_.push_back({tenant, priority, slots, length, next_sequence_++, step_});
  }

  // Calls `started` for each turn that starts.
  template <typename Started>
  void Step(Started started) {
    Start(started);
    for (SimTurn& turn : running_) {
      --turn.length;
      policy_.Charge(turn.tenant, turn.slots);
      served_[turn.tenant] += turn.slots;
    }
    running_.erase(std::remove_if(running_.begin(), running_.end(),
                                  [](const SimTurn& turn) { return turn.length == 0; }),
                   running_.end());
    ++step_;
  }

  int64_t step() const { return step_; }
  const std::vector<SimTurn>& waiting() const { return waiting_; }
  int64_t Count(const std::string& tenant) const { return CountIn(waiting_, tenant); }
  int64_t Present(const std::string& tenant) const {
    return CountIn(waiting_, tenant) + CountIn(running_, tenant);
  }
  int64_t served(const std::string& tenant) const { return served_.at(tenant); }

 private:
  static int64_t CountIn(const std::vector<SimTurn>& turns, const std::string& tenant) {
    return std::count_if(turns.begin(), turns.end(),
                         [&](const SimTurn& turn) { return turn.tenant == tenant; });
  }

  template <typename Started>
  void Start(Started started) {
    std::vector<WaitingTurn> views;
    for (const SimTurn& turn : waiting_) {
      views.push_back({turn.priority, turn.tenant, turn.submitted * kStep, turn.sequence, 1});
    }
    std::vector<absl::string_view> running;
    int free = slots_;
    for (const SimTurn& turn : running_) {
      running.emplace_back(turn.tenant);
      free -= turn.slots;
    }
    std::vector<size_t> order = policy_.Order(views, running, step_ * kStep);
    std::vector<int> needed;
    needed.reserve(order.size());
    for (const size_t turn : order) needed.push_back(waiting_[turn].slots);
    order.resize(CountToStart(needed, free, static_cast<int>(running_.size()), slots_));
    for (const size_t turn : order) {
      started(waiting_[turn]);
      running_.push_back(waiting_[turn]);
    }
    std::sort(order.rbegin(), order.rend());
    for (const size_t turn : order) {
      waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(turn));
    }
  }

  const int slots_;
  StartPolicy policy_{kAgeing};
  int64_t step_ = 0;
  uint64_t next_sequence_ = 1;
  std::vector<SimTurn> waiting_;
  std::vector<SimTurn> running_;
  std::map<std::string, int64_t> served_;
};

class Dice {
 public:
  explicit Dice(uint32_t seed) : random_(seed) {}
  int Pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

 private:
  std::mt19937 random_;
};

TEST(StartPolicySimulation, AHundredTurnsGetNoMoreThanOneAtATime) {
  for (uint32_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    Dice dice(seed);
    SimServer server(1);
    while (server.step() < 10000) {
      while (server.Count("many") < 100) server.Submit("many", 0, 1, dice.Pick(1, 40));
      if (server.Present("one") == 0) server.Submit("one", 0, 1, dice.Pick(1, 40));
      server.Step([](const SimTurn&) {});
    }
    EXPECT_NEAR(static_cast<double>(server.served("one")) / 10000, 0.5, 0.02);
  }
}

TEST(StartPolicySimulation, WhoAsksForLittleGetsTheNextFreeSlot) {
  for (uint32_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    Dice dice(seed);
    SimServer server(4);
    while (server.step() < 5000) {
      while (server.Count("many") < 100) server.Submit("many", 0, 1, dice.Pick(1, 40));
      if (server.Present("one") == 0 && dice.Pick(0, 9) == 0) {
        server.Submit("one", 0, 1, dice.Pick(1, 40));
      }
      server.Step([&](const SimTurn& turn) {
        if (turn.tenant == "one") {
          EXPECT_LE(server.step() - turn.submitted, 40);
        }
      });
    }
  }
}

TEST(StartPolicySimulation, TenantsWithEnoughToDoAreServedEquallyWhateverTheirTurnsAre) {
  constexpr int kLengthMax = 60;
  for (uint32_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    Dice dice(seed);
    const int slots = dice.Pick(1, 8);
    const int tenants = dice.Pick(2, 5);
    SimServer server(slots);
    while (server.step() < 4000) {
      for (int i = 0; i < tenants; ++i) {
        const std::string tenant(1, static_cast<char>('a' + i));
        const int length_max = kLengthMax >> i;
        while (server.Count(tenant) < 10) server.Submit(tenant, 0, 1, dice.Pick(1, length_max));
      }
      server.Step([](const SimTurn&) {});
    }
    // The bound does not grow with time: what can be under way when counters are compared.
    int64_t least = std::numeric_limits<int64_t>::max();
    int64_t most = 0;
    for (int i = 0; i < tenants; ++i) {
      const int64_t served = server.served(std::string(1, static_cast<char>('a' + i)));
      least = std::min(least, served);
      most = std::max(most, served);
    }
    EXPECT_LE(most - least, 2 * slots * kLengthMax);
  }
}

TEST(StartPolicySimulation, NobodyStarvesUnderAnyOverload) {
  constexpr int kQueueMax = 10;  // of a tenant
  constexpr int kLengthMax = 20;
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Dice dice(seed);
    const int slots = dice.Pick(1, 4);
    const int tenants = dice.Pick(1, 4);
    // In the highest class a tenant's earlier turns come first, each of which may have to wait
    // until every slot is free, and the other tenants have as many.
    const int64_t wait_max =
        2 * (kAgeing / kStep) + 2 * tenants * (kQueueMax + 2 * slots) * kLengthMax;
    SimServer server(slots);
    const auto check = [&](const SimTurn& turn) {
      EXPECT_LE(server.step() - turn.submitted, wait_max) << "priority " << turn.priority;
    };
    while (server.step() < 3 * wait_max) {
      for (int i = 0; i < tenants; ++i) {
        const std::string tenant(1, static_cast<char>('a' + i));
        // High ones without end, and now and then another.
        if (server.Count(tenant) >= kQueueMax) continue;
        const int priority = dice.Pick(0, 30) == 0 ? dice.Pick(-1, 0) : 1;
        server.Submit(tenant, priority, dice.Pick(1, slots), dice.Pick(1, kLengthMax));
      }
      server.Step(check);
    }
    for (const SimTurn& turn : server.waiting()) check(turn);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace ssmd
