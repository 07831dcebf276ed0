// Tiers of a device that copies beside its steps: what is begun ahead of need, who waits for it,
// and what becomes of it when things change meanwhile.
#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "engine/state/host_buffers.h"
#include "engine/state/tiers.h"
#include "tests/unit/state/tiers_fixture.h"

namespace ssmd {
namespace {

using testing::kTierBytes;
using testing::LateDevice;
using testing::Tiers;

TEST(TiersAhead, TheNextVictimsAreCopiedWhenSlotsRunLow) {
  Tiers t({.slots = 6, .host_states = 3, .late = true});
  std::vector<StateRef> states;
  for (int i = 0; i < 3; ++i) states.push_back(t.Make(i));
  t.Settle();
  EXPECT_EQ(t.device.downloads, 0) << "as many slots are free as may be wanted";
  for (int i = 3; i < 6; ++i) states.push_back(t.Make(i));
  t.Settle();
  EXPECT_EQ(t.device.downloads, 3);
  t.Settle();
  EXPECT_EQ(t.device.downloads, 3) << "once each";
  EXPECT_EQ(t.tiers->figures().in_host, 3);
  EXPECT_EQ(t.tiers->figures().in_slots, 6) << "they stay where they are";

  std::vector<Slot> slots;
  for (int i = 0; i < 3; ++i) slots.push_back(t.tiers->TakeSlot());
  EXPECT_EQ(t.device.downloads, 3) << "no copy on the way to a slot";
  for (int i = 0; i < 6; ++i) {
    const StateRef& state = states[static_cast<size_t>(i)];
    EXPECT_EQ(state->tier(), i < 3 ? StateTier::kHost : StateTier::kDevice) << i;
    EXPECT_EQ(t.ValueOf(state), i);
  }
}

TEST(TiersAhead, NothingIsCopiedWhereItWouldKeepStepsWaiting) {
  Tiers t({.slots = 6, .host_states = 6});
  std::vector<StateRef> states;
  for (int i = 0; i < 6; ++i) states.push_back(t.Make(i));
  t.Settle();
  EXPECT_EQ(t.device.downloads, 0);
}

TEST(TiersAhead, ASlotIsThereAtOnceWhileItsCopyIsOnItsWay) {
  Tiers t({.slots = 2, .late = true});
  t.device.stuck = true;
  const StateRef a = t.Make(1);
  const StateRef b = t.Make(2);
  const StateRef c = t.Make(3);  // into the slot of `a`
  ASSERT_NE(c, nullptr);
  EXPECT_EQ(a->tier(), StateTier::kHost);
  t.device.stuck = false;
  EXPECT_EQ(t.ValueOf(a), 1);
  EXPECT_EQ(t.ValueOf(c), 3);
}

TEST(TiersAhead, AStateIsRestoredWhileItsCopyIsOnItsWay) {
  Tiers t({.slots = 2, .late = true});
  t.device.stuck = true;
  const StateRef a = t.Make(1);
  StateRef b = t.Make(2);
  const StateRef c = t.Make(3);
  b = nullptr;
  const Slot slot = t.tiers->TakeSlot();
  ASSERT_TRUE(slot);
  ASSERT_EQ(t.tiers->Prepare(a), StateTiers::Readiness::kReady);
  t.tiers->CopyInto(a, slot);
  EXPECT_EQ(t.ValueIn(slot), 1);
}

TEST(TiersAhead, ASlotThatIsWorkedInIsCopiedAsItIs) {
  Tiers t({.slots = 2, .late = true});
  t.device.stuck = true;
  const Slot slot = t.tiers->TakeSlot();
  t.Fill(slot, 5);
  const StateRef before = t.tiers->CopyToHost(slot, 7);
  ASSERT_NE(before, nullptr);
  t.Fill(slot, 6);  // by the next step
  t.device.stuck = false;
  EXPECT_EQ(t.ValueOf(before), 5);
}

TEST(TiersAhead, AStateMayBeLetGoDuringItsCopy) {
  Tiers t({.slots = 2, .host_states = 2, .late = true});
  t.device.stuck = true;
  StateRef a = t.Make(1);
  const StateRef b = t.Make(2);
  t.tiers->Tend();
  EXPECT_EQ(t.device.downloads, 1);
  a = nullptr;
  const Slot slot = t.tiers->TakeSlot();
  ASSERT_TRUE(slot);
  EXPECT_EQ(t.ValueIn(slot), 0);
  EXPECT_EQ(t.tiers->figures().in_host, 0);
  EXPECT_EQ(t.host.used(), 0);
}

TEST(TiersAhead, AReclaimedSlotIsWrittenAfterItsCopy) {
  Tiers t({.slots = 2, .host_states = 2, .late = true});
  t.device.stuck = true;
  StateRef a = t.Make(4);
  const StateRef b = t.Make(5);
  t.tiers->Tend();
  ASSERT_EQ(t.device.downloads, 1);
  int fetched = 0;
  t.tiers->Fetch(b, [&](absl::StatusOr<StateBytes> bytes) {
    fetched = static_cast<int>((*bytes)->data()[0]);
  });
  t.tiers->Tend();
  const Slot slot = t.tiers->Reclaim(&a);
  ASSERT_TRUE(slot);
  EXPECT_EQ(t.ValueIn(slot), 4);
  t.Fill(slot, 9);
  EXPECT_EQ(fetched, 0) << "nobody waits";
  t.device.stuck = false;
  t.Settle();
  EXPECT_EQ(fetched, 5);
}

TEST(TiersAhead, WhatIsFetchedOrStoredIsAwaitedInRoundsWithoutAStep) {
  Tiers t({.slots = 4, .store = true, .late = true});
  t.device.stuck = true;
  const StateRef a = t.Make(1);
  bool fetched = false;
  bool stored = false;
  t.tiers->Fetch(a, [&](const absl::StatusOr<StateBytes>& bytes) { fetched = bytes.ok(); });
  t.tiers->Store(a, [&](const absl::Status& status) { stored = status.ok(); });
  const int before = t.wakes;
  t.tiers->Tend();
  EXPECT_FALSE(fetched);
  EXPECT_FALSE(stored);
  EXPECT_GT(t.wakes, before) << "another round is asked for";
  EXPECT_TRUE(t.tiers->moving());
  t.device.stuck = false;
  t.Settle();
  EXPECT_TRUE(fetched);
  EXPECT_TRUE(stored);
}

TEST(TiersAhead, WhatIsAwaitedAtTheEndIsGiven) {
  auto t = std::make_unique<Tiers>(testing::TierSetting{.slots = 4, .store = true, .late = true});
  t->device.stuck = true;
  bool fetched = false;
  absl::Status stored;
  t->tiers->Fetch(t->Make(1),
                  [&](const absl::StatusOr<StateBytes>& bytes) { fetched = bytes.ok(); });
  t->tiers->Store(t->Make(2), [&](const absl::Status& status) { stored = status; });
  t->tiers->Tend();
  t->tiers->CloseStore();
  t = nullptr;
  EXPECT_TRUE(fetched);
  EXPECT_TRUE(absl::IsCancelled(stored)) << stored;
}

TEST(TiersAhead, CopiesAheadTakeNoRoomFromStates) {
  for (const bool late : {false, true}) {
    Tiers t({.slots = 4, .host_states = 12, .late = late});
    std::vector<StateRef> states;
    while (StateRef state = t.Make(static_cast<int>(states.size()))) {
      states.push_back(state);
      t.Settle();
    }
    EXPECT_EQ(states.size(), 16u) << late;
    for (size_t i = 0; i < states.size(); ++i) EXPECT_EQ(t.ValueOf(states[i]), i);
  }
}

TEST(TiersAhead, NoRoomIsMadeOfWhatAWaitingTurnLoaded) {
  Tiers t({.slots = 4, .host_states = 9, .store = true, .late = true});
  std::vector<StateRef> states;
  for (int i = 0; i < 40; ++i) {
    StateRef state = t.Make(i);
    for (int tries = 0; state == nullptr && tries < 10; ++tries) {
      t.Settle();
      state = t.Make(i);
    }
    ASSERT_NE(state, nullptr);
    states.push_back(std::move(state));
  }
  for (int i = 0; i < 40; ++i) {
    const StateRef& state = states[static_cast<size_t>(i)];
    if (t.tiers->Prepare(state) == StateTiers::Readiness::kReady) continue;
    t.Settle();
    EXPECT_EQ(t.tiers->Prepare(state), StateTiers::Readiness::kReady) << i;
  }
}

TEST(TiersAhead, TwoCopiesDoNotTakeTurns) {
  Tiers t({.slots = 4, .host_states = 9, .late = true});
  std::vector<StateRef> states;
  while (StateRef state = t.Make(static_cast<int>(states.size()))) {
    states.push_back(state);
    t.Settle();
  }
  const int before = t.device.downloads;
  for (int i = 0; i < 10; ++i) t.Settle();
  EXPECT_LE(t.device.downloads, before + 1);
}

TEST(TiersAhead, ACopyThatADeviceDidNotFinishIsNotTheState) {
  Tiers t({.slots = 2, .host_states = 2, .late = true});
  t.device.stuck = true;
  const StateRef whole = t.Make(1);
  const StateRef cut = t.Make(2);
  t.tiers->Tend();
  t.device.stuck = false;
  t.Settle();  // `whole` is in host memory
  t.device.stuck = true;
  const StateRef c = t.Make(3);
  t.tiers->Tend();
  t.device.failed = "broken";
  t.tiers->Tend();
  const auto fetch = [&](const StateRef& state) {
    absl::Status status = absl::UnknownError("not called");
    t.tiers->Fetch(state, [&](const absl::StatusOr<StateBytes>& bytes) {
      status = bytes.status();
      if (bytes.ok()) {
        EXPECT_EQ((*bytes)->data()[0], std::byte{1});
      }
    });
    t.tiers->Tend();
    return status;
  };
  EXPECT_TRUE(fetch(whole).ok()) << fetch(whole);
  EXPECT_TRUE(absl::IsDataLoss(fetch(cut))) << fetch(cut);
}

TEST(TiersAhead, MemoryIsUsedAgain) {
  Tiers t({.slots = 2, .host_states = 8, .late = true});
  for (int i = 0; i < 100; ++i) {
    const StateRef a = t.Make(i);
    const StateRef b = t.Make(i + 1);
    t.Settle();
    EXPECT_EQ(t.ValueOf(a), i);
  }
  EXPECT_LE(t.device.staging_buffers, 4);
}

TEST(TiersAhead, MemoryIsGivenBackWhereTheBudgetIsSmall) {
  Tiers t({.slots = 2, .host_states = 20, .late = true});
  {
    std::vector<StateRef> states;
    while (StateRef state = t.Make(1)) states.push_back(state);
  }
  t.Settle();
  EXPECT_EQ(t.device.staging_buffers, 20);
  t.host.Charge(20 * kTierBytes);  // another model's
  for (int i = 0; i < 20; ++i) t.tiers->Tend();
  std::vector<StateRef> states;
  while (StateRef state = t.Make(1)) states.push_back(state);
  EXPECT_EQ(t.device.staging_buffers, 20 + static_cast<int>(StateTiers::kHostFloor) - 4);
  states.clear();
  t.host.Return(20 * kTierBytes);
}

TEST(TiersAhead, WithoutMemoryForACopyAStateStaysInItsSlot) {
  Tiers t({.slots = 2, .host_states = 2, .late = true});
  const StateRef a = t.Make(1);
  StateRef b = t.Make(2);
  t.device.no_staging = true;
  t.Settle();
  EXPECT_FALSE(t.tiers->TakeSlot());
  EXPECT_EQ(t.host.used(), 0);
  EXPECT_EQ(a->tier(), StateTier::kDevice);
  b = nullptr;
  const StateRef c = t.Make(3);
  ASSERT_NE(c, nullptr) << "what is let go of is there all the same";
  t.device.no_staging = false;
  EXPECT_EQ(t.ValueOf(a), 1);
  EXPECT_NE(t.Make(4), nullptr);
}

TEST(HostBuffers, WhatComesBackAfterTheEndIsLeftAlone) {
  LateDevice device(1);
  auto buffers = std::make_unique<HostBuffers>(&device, 64);
  auto late = buffers->Take();
  buffers->Take();
  EXPECT_EQ(buffers->idle(), 1u);
  static const kernels::Buffer* leaked = late.get();  // found by a leak checker
  buffers = nullptr;
  late = nullptr;
  EXPECT_EQ(leaked->bytes(), 64u);
}

TEST(HostBuffers, ThereMayBeNoMemory) {
  LateDevice device(1);
  HostBuffers buffers(&device, size_t{1} << 30);
  EXPECT_EQ(buffers.Take(), nullptr);
}

}  // namespace
}  // namespace ssmd
