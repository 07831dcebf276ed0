// States on their way between slots, host memory and the store: wherever they go their bytes stay
// what they were, and nothing that is needed is lost for want of room.
#include "engine/state/tiers.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "kernels/host_memory.h"
#include "tests/unit/state/tiers_fixture.h"

namespace ssmd {
namespace {

using testing::FakeStateStore;
using testing::kTierBytes;
using testing::Tiers;
using testing::TierSetting;

TEST(StateTiers, AHeldStateLeavesItsSlotForHostMemoryWhenTheSlotIsNeeded) {
  Tiers t({.slots = 2});
  const StateRef a = t.Make(1);
  const StateRef b = t.Make(2);
  EXPECT_EQ(a->tier(), StateTier::kDevice);
  const StateRef c = t.Make(3);
  ASSERT_NE(c, nullptr);
  EXPECT_EQ(a->tier(), StateTier::kHost) << "the one that was used longest ago";
  EXPECT_EQ(b->tier(), StateTier::kDevice);
  EXPECT_EQ(t.ValueOf(a), 1);
  EXPECT_EQ(t.ValueOf(b), 2);
  EXPECT_EQ(t.ValueOf(c), 3);
  EXPECT_EQ(t.tiers->figures().evictions[0], 1);
}

TEST(StateTiers, UseGivesASecondChance) {
  Tiers t({.slots = 3});
  const StateRef a = t.Make(1);
  const StateRef b = t.Make(2);
  const StateRef c = t.Make(3);
  const StateRef d = t.Make(4);  // everything was used once: a goes
  EXPECT_EQ(a->tier(), StateTier::kHost);
  EXPECT_EQ(t.tiers->Prepare(b), StateTiers::Readiness::kReady);
  const StateRef e = t.Make(5);
  EXPECT_EQ(b->tier(), StateTier::kDevice);
  EXPECT_EQ(c->tier(), StateTier::kHost);
}

TEST(StateTiers, AReleasedStateGivesItsSlotBackZeroed) {
  Tiers t({.slots = 1});
  StateRef a = t.Make(9);
  a = nullptr;
  const Slot slot = t.tiers->TakeSlot();
  ASSERT_TRUE(slot);
  EXPECT_EQ(t.ValueIn(slot), 0);
  EXPECT_EQ(t.tiers->figures().held, 0);
}

TEST(StateTiers, ReleasingWakesTheStepThread) {
  Tiers t({.slots = 1});
  StateRef a = t.Make(9);
  const int before = t.wakes;
  a = nullptr;
  EXPECT_GT(t.wakes, before);
}

TEST(StateTiers, ASlotThatTheNextStepReadsStays) {
  Tiers t({.slots = 2});
  const StateRef a = t.Make(1);
  StatePin pin = t.tiers->Pin(a, StatePin::Strength::kSlot);
  const StateRef b = t.Make(2);
  const StateRef c = t.Make(3);
  EXPECT_EQ(a->tier(), StateTier::kDevice);
  EXPECT_EQ(b->tier(), StateTier::kHost);
  pin.Release();
  const StateRef d = t.Make(4);
  const StateRef e = t.Make(5);
  EXPECT_EQ(a->tier(), StateTier::kHost);
}

TEST(StateTiers, APinnedStateStaysInMemory) {
  Tiers t({.slots = 1, .store = true});
  const StateRef a = t.Make(1);
  t.tiers->Store(a, [](const absl::Status& status) { EXPECT_TRUE(status.ok()); });
  t.Settle();
  ASSERT_FALSE(a->stored_id().empty());
  const StatePin pin = t.tiers->Pin(a, StatePin::Strength::kMemory);
  std::vector<StateRef> others;
  for (int i = 0; i < 30; ++i) {
    others.push_back(t.Make(10 + i));
    t.Settle();
  }
  EXPECT_EQ(a->tier(), StateTier::kHost);
}

TEST(StateTiers, WithoutRoomAnywhereThereIsNoSlot) {
  Tiers t({.slots = 1});
  std::vector<StateRef> states;
  while (StateRef state = t.Make(static_cast<int>(states.size()))) states.push_back(state);
  EXPECT_EQ(states.size(), 1 + StateTiers::kHostFloor);
  for (size_t i = 0; i < states.size(); ++i) {
    EXPECT_EQ(t.ValueOf(states[i]), static_cast<int>(i)) << "and nothing was lost";
  }
  EXPECT_FALSE(t.tiers->moving());
}

TEST(StateTiers, TheBudgetIsForAllBeyondTheFloor) {
  Tiers t({.slots = 1, .host_states = 12});
  std::vector<StateRef> states;
  while (StateRef state = t.Make(1)) states.push_back(state);
  EXPECT_EQ(states.size(), 13u);
}

TEST(StateTiers, ReliefIsAskedForBeforeGivingUp) {
  Tiers t({.slots = 1});
  for (size_t i = 0; i < 1 + StateTiers::kHostFloor; ++i) t.spare.push_back(t.Make(1));
  std::vector<StateRef> states;
  while (StateRef state = t.Make(2)) states.push_back(state);
  EXPECT_EQ(states.size(), 1 + StateTiers::kHostFloor);
  EXPECT_TRUE(t.spare.empty());
}

TEST(StateTiers, NothingIsGivenUpForASlotThatNoStateHolds) {
  Tiers t({.slots = 2});
  for (int i = 0; i < 3; ++i) t.spare.push_back(t.Make(i));
  const Slot working = t.tiers->TakeSlot();
  const Slot other = t.tiers->TakeSlot();
  ASSERT_TRUE(other);
  EXPECT_FALSE(t.tiers->TakeSlot()) << "both are worked in";
  EXPECT_EQ(t.spare.size(), 3u);
}

TEST(StateTiers, FullHostMemoryIsWrittenToTheStoreAndComesBack) {
  Tiers t({.slots = 1, .store = true});
  std::vector<StateRef> states;
  for (int i = 0; i < 40; ++i) {
    StateRef state = t.Make(i);
    for (int tries = 0; state == nullptr && tries < 10; ++tries) {
      EXPECT_TRUE(t.tiers->moving()) << "something will make room";
      t.Settle();
      state = t.Make(i);
    }
    ASSERT_NE(state, nullptr);
    states.push_back(state);
  }
  EXPECT_EQ(states[0]->tier(), StateTier::kDisk);
  for (int i = 0; i < 40; ++i) {
    const StateRef& state = states[static_cast<size_t>(i)];
    StateTiers::Readiness readiness = t.tiers->Prepare(state);
    for (int tries = 0; readiness == StateTiers::Readiness::kLoading && tries < 10; ++tries) {
      t.Settle();
      readiness = t.tiers->Prepare(state);
    }
    ASSERT_EQ(readiness, StateTiers::Readiness::kReady) << i;
    EXPECT_EQ(t.ValueOf(state), i);
  }
}

TEST(StateTiers, AStoredCopyGoesWithItsState) {
  Tiers t({.store = true});
  StateRef a = t.Make(1);
  t.tiers->Store(a, [](const absl::Status&) {});
  t.Settle();
  EXPECT_EQ(t.store.states.size(), 1u);
  a = nullptr;
  t.Settle();
  EXPECT_TRUE(t.store.states.empty());
}

TEST(StateTiers, AStateThatIsLetGoWhileItIsWrittenLeavesNothing) {
  Tiers t({.store = true});
  StateRef a = t.Make(1);
  t.tiers->Store(a, [](const absl::Status&) {});
  t.tiers->Tend();
  a = nullptr;
  t.Settle();
  EXPECT_TRUE(t.store.states.empty());
  EXPECT_EQ(t.tiers->figures().held, 0);
}

TEST(StateTiers, TheStoreKeepsItsCopiesAtTheEnd) {
  FakeStateStore* store = nullptr;
  auto t = std::make_unique<Tiers>(TierSetting{.store = true});
  store = &t->store;
  StateRef a = t->Make(1);
  t->tiers->Store(a, [](const absl::Status&) {});
  t->Settle();
  t->tiers->CloseStore();
  a = nullptr;
  t->Settle();
  EXPECT_EQ(store->states.size(), 1u);
}

TEST(StateTiers, AStateOfTheStoreIsLoadedAndChecked) {
  Tiers t({.store = true});
  StateRef a = t.Make(7);
  t.tiers->Store(a, [](const absl::Status&) {});
  t.Settle();
  const Snapshot good = t.store.states.begin()->second;
  const auto try_with = [&](Snapshot stored, int64_t position) {
    const std::string id(32, 'a');
    t.store.states[id] = std::move(stored);
    StateRef named = t.tiers->AdoptStored(id, position);
    EXPECT_EQ(named->tier(), StateTier::kDisk);
    named->NoteHistory(good.history_hash);
    StateTiers::Readiness readiness = t.tiers->Prepare(named);
    t.Settle();
    readiness = t.tiers->Prepare(named);
    if (readiness == StateTiers::Readiness::kReady) {
      EXPECT_EQ(t.ValueOf(named), 7);
    }
    return readiness;
  };
  EXPECT_EQ(try_with(good, 5), StateTiers::Readiness::kReady);
  EXPECT_TRUE(t.unreadable.empty());
  EXPECT_EQ(try_with(good, 6), StateTiers::Readiness::kLost) << "of another position";
  Snapshot other = good;
  other.identity.fingerprint = "another model";
  EXPECT_EQ(try_with(other, 5), StateTiers::Readiness::kLost);
  other = good;
  other.identity.numerics_profile = "another profile";
  EXPECT_EQ(try_with(other, 5), StateTiers::Readiness::kLost);
  other = good;
  other.history_hash ^= 1;
  EXPECT_EQ(try_with(other, 5), StateTiers::Readiness::kLost) << "of other tokens";
  ASSERT_EQ(t.unreadable.size(), 4u);
  EXPECT_EQ(t.unreadable[3].first, std::string(32, 'a'));
  EXPECT_NE(t.unreadable[3].second.find("not the one that was stored"), std::string::npos);
}

TEST(StateTiers, AStateThatTheStoreHasLostIsLost) {
  Tiers t({.store = true});
  const StateRef gone = t.tiers->AdoptStored(std::string(32, 'b'), 3);
  EXPECT_EQ(t.tiers->Prepare(gone), StateTiers::Readiness::kLoading);
  t.Settle();
  EXPECT_EQ(t.tiers->Prepare(gone), StateTiers::Readiness::kLost);
  EXPECT_EQ(gone->tier(), StateTier::kLost);
  EXPECT_EQ(t.host.used(), 0);
}

TEST(StateTiers, AFullStoreIsNotAskedAgainUntilSomebodySaysSo) {
  Tiers t({.slots = 1, .store = true});
  t.store.fail_puts = true;
  std::vector<StateRef> states;
  for (int tries = 0; tries < 30; ++tries) {
    if (StateRef state = t.Make(1)) states.push_back(state);
    t.Settle();
  }
  EXPECT_EQ(states.size(), 1 + StateTiers::kHostFloor);
  const int64_t puts = t.store.figures().puts;
  EXPECT_FALSE(t.Make(1));
  t.Settle();
  EXPECT_EQ(t.store.figures().puts, puts);
  t.store.fail_puts = false;
  t.tiers->RetryStores();
  t.Settle();
  EXPECT_FALSE(t.Make(1)) << "it is being written now";
  t.Settle();
  EXPECT_TRUE(t.Make(1));
}

TEST(StateTiers, ReclaimGivesBackTheSlotOfAStateThatNobodyElseHolds) {
  Tiers t({.slots = 2});
  StateRef a = t.Make(4);
  StateRef shared = a;
  EXPECT_FALSE(t.tiers->Reclaim(&a));
  EXPECT_NE(a, nullptr);
  shared = nullptr;
  const Slot slot = t.tiers->Reclaim(&a);
  ASSERT_TRUE(slot);
  EXPECT_EQ(a, nullptr);
  EXPECT_EQ(t.ValueIn(slot), 4);
  t.Settle();
  EXPECT_EQ(t.tiers->figures().held, 0);
}

TEST(StateTiers, ReclaimTradesPlacesWhereAllIsFull) {
  Tiers t({.slots = 2});
  StateRef first = t.Make(1);
  std::vector<StateRef> others;
  for (int i = 2; StateRef state = t.Make(i); ++i) others.push_back(state);
  EXPECT_EQ(others.size(), 1 + StateTiers::kHostFloor);
  ASSERT_EQ(t.tiers->SlotOf(first), -1);
  // Full beyond its limit, as what is imported has to be somewhere.
  auto bytes = std::make_shared<kernels::Buffer>(kernels::AllocateHost(kTierBytes));
  std::memset(bytes->data(), static_cast<int>(others.size()) + 2, kTierBytes);
  others.push_back(t.tiers->AdoptBytes(bytes, 3));
  t.tiers->Tend();
  const Slot slot = t.tiers->Reclaim(&first);
  ASSERT_TRUE(slot);
  EXPECT_EQ(first, nullptr);
  EXPECT_EQ(t.ValueIn(slot), 1);
  for (size_t i = 0; i < others.size(); ++i) {
    EXPECT_EQ(t.ValueOf(others[i]), static_cast<int>(i) + 2);
  }

  // Nobody can make way.
  StateRef second = others[0];
  others.erase(others.begin());
  if (t.tiers->SlotOf(second) >= 0) std::swap(second, others[0]);
  std::vector<StatePin> pins;
  for (const StateRef& state : others) {
    if (t.tiers->SlotOf(state) < 0) continue;
    pins.push_back(t.tiers->Pin(state, StatePin::Strength::kSlot));
  }
  EXPECT_FALSE(t.tiers->Reclaim(&second));
  ASSERT_NE(second, nullptr);
  EXPECT_NE(t.ValueOf(second), -1);
  EXPECT_EQ(t.tiers->figures().in_host, static_cast<int64_t>(StateTiers::kHostFloor) + 1);
  EXPECT_EQ(t.host.used(), t.tiers->figures().in_host * static_cast<int64_t>(kTierBytes));
}

TEST(StateTiers, BytesFromOutsideAreAState) {
  Tiers t({.slots = 2});
  auto bytes = std::make_shared<kernels::Buffer>(kernels::AllocateHost(kTierBytes));
  std::memset(bytes->data(), 6, kTierBytes);
  const StateRef a = t.tiers->AdoptBytes(bytes, 3);
  EXPECT_EQ(t.tiers->Prepare(a), StateTiers::Readiness::kReady);
  const Slot slot = t.tiers->TakeSlot();
  t.tiers->CopyInto(a, slot);
  EXPECT_EQ(t.ValueIn(slot), 6);
}

// Random comings and goings against a map of what each state should be.
class StateTiersRandomTest : public ::testing::TestWithParam<std::tuple<int, bool>> {};

TEST_P(StateTiersRandomTest, BytesAreNeverMixedUp) {
  const auto [seed, late] = GetParam();
  std::mt19937 random(static_cast<uint32_t>(seed));
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<uint32_t>(n)); };
  Tiers t({.slots = 1 + pick(late ? 8 : 4),
           .host_states = pick(12),
           .store = pick(2) == 0,
           .late = late,
           .seed = static_cast<uint32_t>(seed)});
  std::vector<std::pair<StateRef, int>> states;
  std::vector<StatePin> pins;
  for (int i = 0; i < 400; ++i) {
    const int what = pick(10);
    if (what < 4) {
      const int value = pick(200);
      if (StateRef state = t.Make(value)) states.emplace_back(std::move(state), value);
    } else if (what < 6 && !states.empty()) {
      const auto index = static_cast<size_t>(pick(static_cast<int>(states.size())));
      states.erase(states.begin() + static_cast<std::ptrdiff_t>(index));
    } else if (what < 8 && !states.empty()) {
      const auto& [state, value] =
          states[static_cast<size_t>(pick(static_cast<int>(states.size())))];
      if (t.tiers->Prepare(state) == StateTiers::Readiness::kReady) {
        pins.push_back(t.tiers->Pin(state, pick(2) == 0 || t.tiers->SlotOf(state) < 0
                                               ? StatePin::Strength::kMemory
                                               : StatePin::Strength::kSlot));
        if (Slot slot = t.tiers->TakeSlot()) {
          t.tiers->CopyInto(state, slot);
          EXPECT_EQ(t.ValueIn(slot), value);
        }
      }
      if (pins.size() > 2) pins.clear();
    } else {
      t.Settle();
    }
  }
  pins.clear();
  for (const auto& [state, value] : states) EXPECT_EQ(t.ValueOf(state), value);
  states.clear();
  t.Settle();
  EXPECT_EQ(t.tiers->figures().held, 0);
  EXPECT_EQ(t.host.used(), 0);
  EXPECT_TRUE(t.store.states.empty());
}

INSTANTIATE_TEST_SUITE_P(, StateTiersRandomTest,
                         ::testing::Combine(::testing::Range(0, 50), ::testing::Bool()));

}  // namespace
}  // namespace ssmd
