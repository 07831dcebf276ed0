#include "engine/state/prefix_shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "tests/unit/state/prefix_fixture.h"

namespace ssmd {
namespace {

using ::testing::ElementsAre;
using testing::Tokens;

// The node at the end of `tokens`, or null.
PrefixNode* Find(const PrefixShape& shape, const Tokens& tokens) {
  int64_t common = 0;
  PrefixNode* last = nullptr;
  for (PrefixNode* node = shape.root(); node != nullptr;
       node = PrefixShape::Next(*node, tokens, &common)) {
    last = node;
  }
  return last != nullptr && last->position == static_cast<int64_t>(tokens.size()) ? last : nullptr;
}

// Counts the bytes below `node` anew and checks that its children fit to it.
int64_t Recount(const PrefixNode& node) {
  int64_t bytes = 0;
  for (const auto& [token, child] : node.children) {
    EXPECT_EQ(child->parent, &node);
    EXPECT_FALSE(child->edge.empty());
    EXPECT_EQ(child->edge.front(), token);
    EXPECT_EQ(child->position, node.position + static_cast<int64_t>(child->edge.size()));
    bytes += PrefixShape::kNodeBytes + static_cast<int64_t>(child->edge.capacity() * 4);
    bytes += Recount(*child);
  }
  return bytes;
}

TEST(PrefixShape, SplitsAnEdgeWherePathsPartAndLeavesNodesWhereTheyAre) {
  PrefixShape shape;
  PrefixNode* end = shape.Reach({1, 2, 3, 4});
  PrefixNode* other = shape.Reach({1, 2, 9});
  const PrefixNode* fork = Find(shape, {1, 2});
  ASSERT_NE(fork, nullptr);
  EXPECT_THAT(fork->edge, ElementsAre(1, 2));
  EXPECT_EQ(fork->children.size(), 2u);
  EXPECT_EQ(Find(shape, {1, 2, 3, 4}), end);
  EXPECT_EQ(Find(shape, {1, 2, 9}), other);
  EXPECT_EQ(shape.Reach({1, 2, 9}), other);
}

TEST(PrefixShape, CountsWhatIsInCommonUpToTheMiddleOfAnEdge) {
  PrefixShape shape;
  shape.Reach({1, 2, 3, 4});
  const struct {
    Tokens tokens;
    int64_t common;
    bool arrives;
  } cases[] = {{{}, 0, false},
               {{9}, 0, false},
               {{1, 2}, 2, false},
               {{1, 2, 9, 4}, 2, false},
               {{1, 2, 3}, 3, false},
               {{1, 2, 3, 4}, 4, true},
               {{1, 2, 3, 4, 5}, 4, true}};
  for (const auto& test : cases) {
    int64_t common = -1;
    EXPECT_EQ(PrefixShape::Next(*shape.root(), test.tokens, &common) != nullptr, test.arrives);
    EXPECT_EQ(common, test.common);
  }
}

TEST(PrefixShape, ARemovedNodeLeavesItsEdgeToItsChild) {
  PrefixShape shape;
  PrefixNode* end = shape.Reach({1, 2, 3, 4});
  PrefixNode* middle = shape.Reach({1, 2});
  EXPECT_EQ(shape.Remove(middle), shape.root());
  EXPECT_THAT(end->edge, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(end->parent, shape.root());
  EXPECT_EQ(Find(shape, {1, 2, 3, 4}), end);
}

TEST(PrefixShape, IsEmptyOnceItsLastPathIsRemoved) {
  PrefixShape shape;
  EXPECT_TRUE(shape.empty());
  PrefixNode* leaf = shape.Reach({1, 2});
  PrefixNode* before = shape.Reach({1});
  EXPECT_EQ(shape.Remove(leaf), before);
  EXPECT_FALSE(shape.empty());
  EXPECT_EQ(shape.Remove(before), shape.root());
  EXPECT_TRUE(shape.empty());
}

TEST(PrefixShape, KeepsCountOfItsBytesThroughEveryChange) {
  std::mt19937 random(1);
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  for (int round = 0; round < 200; ++round) {
    PrefixShape shape;
    std::set<PrefixNode*> made;
    for (int operation = 0; operation < 100 || !made.empty(); ++operation) {
      if (operation < 100 && pick(0, 1) == 0) {
        Tokens tokens(static_cast<size_t>(pick(1, 12)));
        for (int32_t& token : tokens) token = pick(0, 1);
        made.insert(shape.Reach(tokens));
      } else if (!made.empty()) {
        const auto it = std::next(made.begin(), pick(0, static_cast<int>(made.size()) - 1));
        if ((*it)->children.size() < 2) {
          PrefixNode* parent = shape.Remove(*it);
          made.erase(it);
          if (parent != shape.root() && parent->children.empty()) made.insert(parent);
        }
      }
      ASSERT_EQ(shape.bytes(), PrefixShape::kNodeBytes + Recount(*shape.root()));
    }
    ASSERT_TRUE(shape.empty());
  }
}

}  // namespace
}  // namespace ssmd
