// What a prefix tree's tenants take from each other.
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "engine/state/prefix_tree.h"
#include "tests/unit/state/prefix_fixture.h"

namespace ssmd {
namespace {

using testing::Options;
using testing::Range;
using testing::StateOf;
using testing::Tokens;

// Two who share 20,000 bytes: some sixteen states of 1000 bytes on paths of their own.
class PrefixTenantsTest : public ::testing::Test {
 protected:
  void Hold(const std::string& tenant, int32_t first, int32_t length = 10) {
    const Tokens tokens = Range(first, length);
    tree_.Insert(tenant, tokens, StateOf(tokens));
  }
  // `states` new prompts, each on a path of its own.
  void Flood(const std::string& tenant, int states, int32_t length = 10) {
    for (int i = 0; i < states; ++i) Hold(tenant, ++flooded_ * 1000, length);
  }
  bool Held(const std::string& tenant, int32_t first, int32_t length = 10) {
    return tree_.Lookup(tenant, Range(first, length + 1)).position == length;
  }

  FakeClock clock_;
  PrefixTree tree_{Options(20000, 1 << 20, &clock_)};
  int32_t flooded_ = 0;
};

TEST_F(PrefixTenantsTest, ManyPromptsOfOneCostAnotherNothingOfItsShare) {
  for (int32_t i = 0; i < 3; ++i) Hold("ann", i * 100);
  Flood("bob", 1000, 100);
  EXPECT_GE(tree_.figures().evictions, 900);
  for (int32_t i = 0; i < 3; ++i) EXPECT_TRUE(Held("ann", i * 100)) << i;
}

TEST_F(PrefixTenantsTest, AShareIsWonBackFromWhoHasTakenTheWholeBudget) {
  Flood("bob", 100);
  const int64_t alone = tree_.figures().states;
  for (int32_t i = 0; i < 4; ++i) Hold("ann", i * 100);
  Flood("bob", 100, 100);
  for (int32_t i = 0; i < 4; ++i) EXPECT_TRUE(Held("ann", i * 100)) << i;
  EXPECT_GE(tree_.figures().states, alone - 4) << "the rest stays in use";
}

TEST_F(PrefixTenantsTest, WhoHoldsMoreThanItsShareLosesHoweverMuchItsStatesSave) {
  for (int32_t i = 0; i < 14; ++i) Hold("bob", 1000 * i, 100);
  for (int32_t i = 0; i < 3; ++i) Hold("ann", i * 100, 2);
  Flood("bob", 3, 100);
  for (int32_t i = 0; i < 3; ++i) EXPECT_TRUE(Held("ann", i * 100, 2)) << i;
}

TEST_F(PrefixTenantsTest, AShareThatIsNotUsedIsFreeAfterTenMinutes) {
  Hold("ann", 0);
  clock_.Advance(kPrefixProtection - std::chrono::seconds(1));
  EXPECT_TRUE(Held("ann", 0)) << "which uses it";
  clock_.Advance(kPrefixProtection - std::chrono::seconds(1));
  Flood("bob", 100, 100);
  EXPECT_TRUE(Held("ann", 0));
  clock_.Advance(kPrefixProtection);
  Flood("bob", 100, 100);
  EXPECT_FALSE(Held("ann", 0));
}

TEST_F(PrefixTenantsTest, GiveUpOneByOneUntilNoneIsLeft) {
  for (int32_t i = 0; i < 2; ++i) Hold("ann", i * 100);
  for (int32_t i = 0; i < 5; ++i) Hold("bob", i * 100);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(tree_.EvictOne());
  for (int32_t i = 0; i < 2; ++i) EXPECT_TRUE(Held("ann", i * 100)) << "who has less";
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(tree_.EvictOne());
  EXPECT_FALSE(tree_.EvictOne());
}

}  // namespace
}  // namespace ssmd
