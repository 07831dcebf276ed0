#include "engine/state/state_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "tests/support/memory_device.h"

namespace ssmd {
namespace {

class StatePoolTest : public ::testing::Test {
 protected:
  StatePoolTest() {
    conv_ = layout_.Add(0, "conv", StateKind::kConvRing, {3, 5});
    ssm_ = layout_.Add(0, "ssm", StateKind::kSsm, {64});
    pool_ = *StatePool::Create(&device_, layout_, 3);
  }

  float* Conv(const Slot& slot) { return pool_->field(conv_).floats(slot.index()); }
  float* Ssm(const Slot& slot) { return pool_->field(ssm_).floats(slot.index()); }
  void Fill(const Slot& slot, float value) {
    std::fill_n(Conv(slot), 15, value);
    std::fill_n(Ssm(slot), 64, value);
  }
  bool AllAre(const Slot& slot, float value) {
    const auto is_value = [value](float x) { return x == value; };
    return std::all_of(Conv(slot), Conv(slot) + 15, is_value) &&
           std::all_of(Ssm(slot), Ssm(slot) + 64, is_value);
  }

  testing::MemoryDevice device_{1 << 20};
  StateLayout layout_;
  StatePlace conv_, ssm_;
  std::unique_ptr<StatePool> pool_;
};

TEST_F(StatePoolTest, HandsOutEverySlotOnceAndThenNone) {
  Slot a = pool_->Acquire();
  Slot b = pool_->Acquire();
  Slot c = pool_->Acquire();
  EXPECT_THAT((std::vector<int>{a.index(), b.index(), c.index()}),
              ::testing::UnorderedElementsAre(0, 1, 2));
  EXPECT_EQ(pool_->free_slots(), 0);
  EXPECT_EQ(pool_->slots(), 3);

  const Slot none = pool_->Acquire();
  EXPECT_FALSE(none);
  EXPECT_EQ(none.index(), -1);

  b.Release();
  EXPECT_FALSE(b);
  EXPECT_EQ(pool_->free_slots(), 1);
  EXPECT_TRUE(pool_->Acquire());
}

TEST_F(StatePoolTest, ZeroesASlotWhenItIsFreed) {
  Slot slot = pool_->Acquire();
  EXPECT_TRUE(AllAre(slot, 0));
  Fill(slot, 7);
  float* conv = Conv(slot);
  float* ssm = Ssm(slot);
  slot.Release();
  EXPECT_EQ(*std::max_element(conv, conv + 15), 0);
  EXPECT_EQ(*std::max_element(ssm, ssm + 64), 0);
}

TEST_F(StatePoolTest, TouchesNoOtherSlotWhenOneIsFreed) {
  Slot a = pool_->Acquire();
  Slot b = pool_->Acquire();
  Slot c = pool_->Acquire();
  Fill(a, 1);
  Fill(b, 2);
  Fill(c, 3);
  b.Release();
  EXPECT_TRUE(AllAre(a, 1));
  EXPECT_TRUE(AllAre(c, 3));
}

TEST_F(StatePoolTest, RaisesTheGenerationOnEveryAcquisition) {
  Slot slot = pool_->Acquire();
  const int32_t index = slot.index();
  uint32_t generation = slot.generation();
  for (int i = 0; i < 5; ++i) {
    slot.Release();
    slot = pool_->Acquire();
    ASSERT_EQ(slot.index(), index);  // last freed, first taken
    EXPECT_GT(slot.generation(), generation);
    EXPECT_EQ(slot.generation() % 2, 1u);
    generation = slot.generation();
  }
}

TEST_F(StatePoolTest, MovesOwnershipWithoutFreeing) {
  Slot a = pool_->Acquire();
  Fill(a, 4);
  const int32_t index = a.index();
  Slot b(std::move(a));
  EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move): what is left is what is tested
  EXPECT_EQ(b.index(), index);
  EXPECT_TRUE(AllAre(b, 4));

  Slot c = pool_->Acquire();
  c = std::move(b);  // frees what c held
  EXPECT_EQ(c.index(), index);
  EXPECT_EQ(pool_->free_slots(), 2);
  EXPECT_TRUE(AllAre(c, 4));

  Slot& alias = c;
  c = std::move(alias);
  EXPECT_EQ(c.index(), index);
  EXPECT_TRUE(AllAre(c, 4));
}

TEST_F(StatePoolTest, FreesOnDestruction) {
  { const Slot slot = pool_->Acquire(); }
  EXPECT_EQ(pool_->free_slots(), 3);
}

TEST_F(StatePoolTest, CopiesAWholeStateAndNothingElse) {
  Slot a = pool_->Acquire();
  Slot b = pool_->Acquire();
  Slot c = pool_->Acquire();
  Fill(a, 1);
  Fill(b, 2);
  Fill(c, 3);
  pool_->CopyState(a, b);
  EXPECT_TRUE(AllAre(a, 1));
  EXPECT_TRUE(AllAre(b, 1));
  EXPECT_TRUE(AllAre(c, 3));
  pool_->CopyState(c, c);
  EXPECT_TRUE(AllAre(c, 3));
}

using StatePoolDeathTest = StatePoolTest;

TEST_F(StatePoolDeathTest, StopsAtAnEmptyOrForeignSlot) {
  Slot mine = pool_->Acquire();
  const Slot empty;
  EXPECT_DEATH(pool_->CopyState(empty, mine), "another pool, or an empty one");
  auto other = *StatePool::Create(&device_, layout_, 1);
  const Slot foreign = other->Acquire();
  EXPECT_DEATH(pool_->CopyState(foreign, mine), "another pool, or an empty one");
}

TEST(StatePoolCreate, SaysHowMuchDidNotFit) {
  StateLayout layout;
  layout.Add(0, "ssm", StateKind::kSsm, {1 << 18});  // 1 MiB
  testing::MemoryDevice device(3 << 20);
  EXPECT_TRUE(StatePool::Create(&device, layout, 3).ok());

  const auto pool = StatePool::Create(&device, layout, 1);
  EXPECT_EQ(pool.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(pool.status().message()),
              ::testing::AllOf(::testing::HasSubstr("1048576 bytes"),
                               ::testing::HasSubstr("1 state slots")));
}

TEST(StatePoolCreate, RefusesSizesThatOverflowAndNoSlots) {
  StateLayout layout;
  layout.Add(0, "ssm", StateKind::kSsm, {int64_t{1} << 58});
  testing::MemoryDevice device(1 << 20);
  EXPECT_EQ(StatePool::Create(&device, layout, 64).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(StatePool::Create(&device, StateLayout(), 0).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(StatePoolCreate, KeepsNoBytesForALayoutWithoutFields) {
  testing::MemoryDevice device(1 << 20);
  auto pool = *StatePool::Create(&device, StateLayout(), 2);
  Slot a = pool->Acquire();
  const Slot b = pool->Acquire();
  pool->CopyState(a, b);
  a.Release();
  EXPECT_EQ(pool->free_slots(), 1);
}

}  // namespace
}  // namespace ssmd
