#include "engine/state/prefix_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "tests/unit/state/prefix_fixture.h"

namespace ssmd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::Options;
using testing::Range;
using testing::StateOf;
using testing::Tokens;

constexpr int64_t kPlenty = int64_t{1} << 40;

Tokens Prefix(const Tokens& tokens, int64_t length) {
  return Tokens(tokens.begin(), tokens.begin() + length);
}

class PrefixTreeTest : public ::testing::Test {
 protected:
  // Holds a state after the first `length` tokens.
  StateRef Hold(const Tokens& tokens, int64_t length, size_t bytes = 1000) {
    const Tokens consumed = Prefix(tokens, length);
    StateRef state = StateOf(consumed, bytes);
    tree_.Insert("ann", consumed, state);
    return state;
  }
  PrefixHit Lookup(const Tokens& tokens) { return tree_.Lookup("ann", tokens); }
  std::vector<int64_t> Wanted(const Tokens& tokens, int64_t from = 0) {
    return tree_.WantedPositions("ann", tokens, from);
  }
  // Evicts one and returns which.
  size_t Evicted(const std::vector<StateRef>& states) {
    std::vector<int64_t> uses;
    uses.reserve(states.size());
    for (const StateRef& state : states) uses.push_back(state.use_count());
    EXPECT_TRUE(tree_.EvictOne());
    size_t evicted = states.size();
    for (size_t i = 0; i < states.size(); ++i) {
      if (states[i].use_count() < uses[i]) evicted = i;
    }
    return evicted;
  }

  PrefixTree tree_{Options(kPlenty, 4)};
};

TEST_F(PrefixTreeTest, FindsNothingWhereNothingWasSent) {
  const PrefixHit hit = Lookup({1, 2, 3});
  EXPECT_EQ(hit.state, nullptr);
  EXPECT_EQ(hit.position, 0);
  EXPECT_EQ(hit.common_tokens, 0);
  EXPECT_EQ(hit.miss, PrefixMiss::kNone);
  EXPECT_FALSE(tree_.EvictOne());
  EXPECT_EQ(tree_.figures().bytes, 0);
}

TEST_F(PrefixTreeTest, ReusesTheDeepestStateOnTheWay) {
  const Tokens tokens = Range(1, 10);
  Hold(tokens, 3);
  const StateRef deep = Hold(tokens, 7);
  const PrefixHit hit = Lookup(Range(1, 20));
  EXPECT_EQ(hit.state, deep);
  EXPECT_EQ(hit.position, 7);
  EXPECT_EQ(hit.common_tokens, 7);
  EXPECT_EQ(hit.miss, PrefixMiss::kNone);
}

TEST_F(PrefixTreeTest, AlwaysLeavesTheLastTokenToCompute) {
  const Tokens tokens = {1, 2, 3, 4, 5};
  const StateRef before = Hold(tokens, 4);
  Hold(tokens, 5);
  const PrefixHit hit = Lookup(tokens);
  EXPECT_EQ(hit.state, before);
  EXPECT_EQ(hit.position, 4);
  EXPECT_EQ(hit.miss, PrefixMiss::kNone);
}

TEST_F(PrefixTreeTest, TakesPromptsOfOneTokenAndOfNone) {
  Hold({7}, 1);
  for (const Tokens& tokens : {Tokens{}, Tokens{7}, Tokens{8}}) {
    const PrefixHit hit = Lookup(tokens);
    EXPECT_EQ(hit.position, 0);
    EXPECT_EQ(hit.common_tokens, 0);
    EXPECT_EQ(hit.miss, PrefixMiss::kNone);
    EXPECT_THAT(Wanted(tokens), IsEmpty());
  }
  EXPECT_EQ(Lookup({7, 1}).position, 1);
}

TEST_F(PrefixTreeTest, AnEqualPromptFindsItsBranchPointTheThirdTime) {
  const Tokens tokens = {1, 2, 3};
  EXPECT_THAT(Wanted(tokens), IsEmpty());
  Hold({1, 2, 3, 50, 51}, 5);  // the end of its turn
  const PrefixHit second = Lookup(tokens);
  EXPECT_EQ(second.position, 0);
  EXPECT_EQ(second.common_tokens, 2);
  EXPECT_EQ(second.miss, PrefixMiss::kNoState);
  EXPECT_THAT(Wanted(tokens), ElementsAre(2));
  Hold(tokens, 2);
  const PrefixHit third = Lookup(tokens);
  EXPECT_EQ(third.position, 2);
  EXPECT_EQ(third.miss, PrefixMiss::kNone);
  EXPECT_THAT(Wanted(tokens, 2), IsEmpty());
}

TEST_F(PrefixTreeTest, HoldsAPromptThatIsAPrefixOfAnotherAndTheOtherWayRound) {
  const Tokens tokens = Range(1, 9);
  for (const bool short_first : {true, false}) {
    SCOPED_TRACE(short_first);
    const std::string tenant = short_first ? "ann" : "bob";
    for (const int64_t length : short_first ? std::vector{3, 6} : std::vector{6, 3}) {
      tree_.Insert(tenant, Prefix(tokens, length), StateOf(Prefix(tokens, length)));
    }
    EXPECT_EQ(tree_.Lookup(tenant, tokens).position, 6);
    EXPECT_EQ(tree_.Lookup(tenant, Prefix(tokens, 6)).position, 3);
    EXPECT_EQ(tree_.Lookup(tenant, Prefix(tokens, 6)).common_tokens, 5);
    EXPECT_EQ(tree_.Lookup(tenant, Prefix(tokens, 4)).position, 3);
  }
}

TEST_F(PrefixTreeTest, KeepsTheStateThatIsThereAlready) {
  const StateRef first = Hold({1, 2}, 2);
  const StateRef second = Hold({1, 2}, 2);
  EXPECT_EQ(Lookup({1, 2, 3}).state, first);
  EXPECT_EQ(second.use_count(), 1);
  EXPECT_EQ(tree_.figures().states, 1);
}

TEST_F(PrefixTreeTest, HidesForeignStates) {
  Hold(Range(1, 8), 8);
  const PrefixHit hit = tree_.Lookup("bob", Range(1, 10));
  EXPECT_EQ(hit.state, nullptr);
  EXPECT_EQ(hit.common_tokens, 0);
  EXPECT_THAT(tree_.WantedPositions("bob", Range(1, 8), 0), ElementsAre(4));
  EXPECT_THAT(tree_.WantedPositions("", Range(1, 8), 0), ElementsAre(4));
}

struct WantedCase {
  const char* name;
  Tokens tokens;
  int64_t from;
  std::vector<int64_t> expected;
};

class WantedPositionsTest : public PrefixTreeTest,
                            public ::testing::WithParamInterface<WantedCase> {};

// Held on 1 2 3 … are 4 (on the grid of 4) and 10.
TEST_P(WantedPositionsTest, AreTheGridAndBranchPointsWithoutStates) {
  Hold(Range(1, 10), 4);
  Hold(Range(1, 10), 10);
  EXPECT_EQ(Wanted(GetParam().tokens, GetParam().from), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    , WantedPositionsTest,
    ::testing::Values(WantedCase{"NothingInCommon", {9, 9, 9, 9, 9, 9}, 0, {4}},
                      WantedCase{"TheSizeItselfIsNot", {9, 9, 9, 9}, 0, {}},
                      WantedCase{"BranchBeforeTheGrid", {1, 2, 9, 9, 9, 9, 9, 9, 9}, 0, {2, 4, 8}},
                      WantedCase{"BranchBetween", {1, 2, 3, 4, 5, 6, 9, 9, 9}, 4, {6, 8}},
                      WantedCase{"BranchOnTheGrid", {1, 2, 3, 4, 5, 6, 7, 8, 9, 9}, 4, {8, 9}},
                      WantedCase{"BranchWhereAStateIs", {1, 2, 3, 4, 9, 9}, 0, {}},
                      WantedCase{"BranchAfterTheGrid", {1, 2, 3, 4, 5, 6, 9}, 4, {6}},
                      WantedCase{"BranchBeforeFrom", {1, 2, 3, 4, 5, 9, 9, 9, 9}, 6, {8}},
                      WantedCase{"Continuation", Range(1, 14), 10, {12}},
                      WantedCase{"FromAnywhere", Range(1, 14), 3, {8, 12}}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(PrefixTreeTest, AFirstDivergenceRecomputesAtMostOneGridInterval) {
  const Tokens first = Range(1, 40);
  for (const int64_t position : Wanted(first)) Hold(first, position);
  Hold(first, 40);
  for (int64_t branch = 0; branch < 40; ++branch) {
    Tokens other = Prefix(first, branch);
    other.insert(other.end(), 5, -1);
    const PrefixHit hit = Lookup(other);
    EXPECT_EQ(hit.common_tokens, branch);
    EXPECT_LT(branch - hit.position, 4);
    EXPECT_EQ(hit.miss, branch % 4 == 0 ? PrefixMiss::kNone : PrefixMiss::kNoState);
  }
}

// --- Eviction ---

TEST_F(PrefixTreeTest, SaysThatAStateWasEvicted) {
  const Tokens tokens = Range(1, 8);
  Hold(tokens, 8);
  EXPECT_TRUE(tree_.EvictOne());
  EXPECT_FALSE(tree_.EvictOne());
  const PrefixHit hit = Lookup(Range(1, 20));
  EXPECT_EQ(hit.state, nullptr);
  EXPECT_EQ(hit.common_tokens, 8);
  EXPECT_EQ(hit.miss, PrefixMiss::kEvicted);
  EXPECT_EQ(Lookup({1, 2, 3, 4, 5, 6, -1}).miss, PrefixMiss::kNoState) << "none was there";
  EXPECT_THAT(Wanted(Range(1, 10)), ElementsAre(4, 8));

  Hold(tokens, 8);
  EXPECT_EQ(Lookup(Range(1, 20)).miss, PrefixMiss::kNone);
}

TEST_F(PrefixTreeTest, AmongEqualsTheOneLeastRecentlyUsedGoesFirst) {
  const std::vector<StateRef> states = {Hold(Range(0, 10), 10), Hold(Range(100, 10), 10),
                                        Hold(Range(200, 10), 10), Hold(Range(300, 10), 10)};
  Lookup(Range(0, 11));
  Lookup(Range(200, 11));
  EXPECT_EQ(Evicted(states), 1u);
  EXPECT_EQ(Evicted(states), 3u);
  EXPECT_EQ(Evicted(states), 0u);
  EXPECT_EQ(Evicted(states), 2u);
}

TEST_F(PrefixTreeTest, TheOneThatSavesLessWorkGoesFirst) {
  std::vector<StateRef> states = {Hold(Range(100, 50), 50), Hold(Range(0, 100), 95),
                                  Hold(Range(0, 100), 100), Hold(Range(200, 60), 60)};
  EXPECT_EQ(Evicted(states), 2u) << "it saves 5 tokens beside the one before it";
  EXPECT_EQ(Evicted(states), 0u);
  EXPECT_EQ(Evicted(states), 3u);
  EXPECT_EQ(Evicted(states), 1u);
}

TEST_F(PrefixTreeTest, TheLargerOneGoesFirst) {
  std::vector<StateRef> states = {Hold(Range(0, 50), 50, 2000), Hold(Range(100, 50), 50, 9000),
                                  Hold(Range(200, 50), 50, 3000)};
  EXPECT_EQ(Evicted(states), 1u);
  EXPECT_EQ(Evicted(states), 2u);
  EXPECT_EQ(Evicted(states), 0u);
}

TEST_F(PrefixTreeTest, AStateIsWorthMoreOnceTheOneBeforeItIsGone) {
  std::vector<StateRef> states = {Hold(Range(0, 30), 20, 90000), Hold(Range(0, 30), 30),
                                  Hold(Range(100, 15), 15)};
  EXPECT_EQ(Evicted(states), 0u) << "large";
  EXPECT_EQ(Evicted(states), 2u) << "15 tokens; the other now saves 30, not 10";
  EXPECT_EQ(Evicted(states), 1u);
}

TEST_F(PrefixTreeTest, WhatNobodyUsesGoesInTheEndWhateverItIsWorth) {
  const StateRef valuable = Hold(Range(0, 1000), 1000);
  int32_t rounds = 0;
  while (valuable.use_count() > 1) {
    ASSERT_LT(++rounds, 1000);
    Hold(Range(rounds * 100000, 10), 10);
    tree_.EvictOne();
  }
  EXPECT_GT(rounds, 50) << "its worth counts, too";
}

TEST_F(PrefixTreeTest, WhatIsNewIsHeldHoweverLittleItSaves) {
  PrefixTree tree(Options(30000, 1 << 20));
  const auto hold = [&tree](int32_t first, int32_t length) {
    tree.Insert("ann", Range(first, length), StateOf(Range(first, length)));
    return tree.Lookup("ann", Range(first, length + 1)).position == length;
  };
  for (int32_t i = 1; i <= 30; ++i) EXPECT_TRUE(hold(i * 1000, 100)) << i;
  ASSERT_GT(tree.figures().evictions, 0) << "the budget is full";
  for (int32_t i = 1; i <= 30; ++i) EXPECT_TRUE(hold(i * 1000 + 500, 2)) << i;
}

TEST_F(PrefixTreeTest, DropsATenantWithItsLastPath) {
  PrefixTree tree(Options(6000, 4));
  for (int32_t i = 0; i < 2000; ++i) {
    tree.Insert(std::to_string(i), Range(i, 10), StateOf(Range(i, 10), 3000));
    ASSERT_LE(tree.figures().bytes, 6000);
    ASSERT_EQ(tree.figures().states, 1) << "the latest is held";
    ASSERT_EQ(tree.Lookup(std::to_string(i), Range(i, 11)).position, 10);
  }
  EXPECT_EQ(tree.figures().evictions, 1999);
}

TEST_F(PrefixTreeTest, ForgetsOldPathsBeforeItEvictsForThem) {
  // Paths of 100 tokens and states of 1000 bytes: what is left of evicted states would soon fill
  // it.
  PrefixTree tree(Options(100000, 1 << 20));
  for (int32_t i = 0; i < 5000; ++i) {
    const Tokens tokens = Range(i * 1000, 100);
    tree.Insert("ann", tokens, StateOf(tokens));
  }
  EXPECT_LE(tree.figures().bytes, 100000);
  EXPECT_GE(tree.figures().states, 50);
  EXPECT_EQ(tree.Lookup("ann", Range(0, 101)).common_tokens, 0) << "forgotten long ago";
}

TEST_F(PrefixTreeTest, RemembersARecentEvictionWhileThereIsRoom) {
  PrefixTree tree(Options(1000000, 1 << 20));
  for (int32_t i = 0; i < 12; ++i) {
    const Tokens tokens = Range(i * 1000, 10);
    tree.Insert("ann", tokens, StateOf(tokens, 100000));
  }
  EXPECT_EQ(tree.figures().states, 9);
  EXPECT_EQ(tree.Lookup("ann", Range(0, 11)).miss, PrefixMiss::kEvicted);
}

TEST_F(PrefixTreeTest, HoldsNothingThatDoesNotFit) {
  for (const int64_t limit : {int64_t{0}, int64_t{1}, int64_t{1000}, int64_t{1100}}) {
    SCOPED_TRACE(limit);
    PrefixTree tree(Options(limit, 4));
    tree.Insert("ann", {1, 2}, StateOf({1, 2}));
    const PrefixHit hit = tree.Lookup("ann", Tokens{1, 2, 3});
    EXPECT_EQ(hit.state, nullptr);
    EXPECT_EQ(hit.miss, limit == 0 ? PrefixMiss::kDisabled : PrefixMiss::kNone);
    EXPECT_EQ(tree.figures().states, 0);
    EXPECT_EQ(tree.figures().bytes, 0);
    EXPECT_EQ(tree.WantedPositions("ann", Range(1, 9), 0).empty(), limit == 0);
  }
}

TEST_F(PrefixTreeTest, CountsWhatWasAskedAndFound) {
  const Tokens tokens = Range(1, 10);
  Hold(tokens, 6);
  Lookup(tokens);
  Lookup({5, 5, 5});
  const PrefixFigures figures = tree_.figures();
  EXPECT_EQ(figures.queries, 2);
  EXPECT_EQ(figures.hits, 1);
  EXPECT_EQ(figures.queried_tokens, 9 + 2);
  EXPECT_EQ(figures.hit_tokens, 6);
  EXPECT_EQ(figures.states, 1);
  EXPECT_EQ(figures.evictions, 0);
  EXPECT_GE(figures.bytes, 1000 + 6 * 4);
  EXPECT_EQ(figures.bytes_limit, kPlenty);
}

TEST(PrefixTree, IsTornDownOnASmallStackHoweverDeepItIs) {
  constexpr int32_t kDepth = 10000;
  const Tokens tokens = Range(0, kDepth);
  auto tree = std::make_unique<PrefixTree>(Options(kPlenty, 4));
  for (int32_t length = kDepth; length > 0; --length) {
    tree->Insert("ann", Prefix(tokens, length), StateOf(Prefix(tokens, length)));
  }
  EXPECT_EQ(tree->figures().states, kDepth);

  pthread_attr_t small;
  ASSERT_EQ(pthread_attr_init(&small), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&small, 128 * 1024), 0);
  pthread_t thread;
  const auto destroy = [](void* taken) -> void* {
    delete static_cast<PrefixTree*>(taken);
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &small, destroy, tree.release()), 0);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
  pthread_attr_destroy(&small);
}

TEST(PrefixTreeDeathTest, StopsAtAStateThatHasNotConsumedItsTokens) {
  PrefixTree tree(Options(kPlenty, 4));
  EXPECT_DEATH(tree.Insert("ann", {1, 2, 3}, StateOf({1, 2})), "not consumed exactly its tokens");
  EXPECT_DEATH(tree.Insert("ann", {}, StateOf({})), "not consumed exactly its tokens");
}

// --- Against a plain list ---

// Random requests of a tiny alphabet, so that many prefixes are shared, against every (tenant,
// tokens) that was ever inserted. Which states are alive, the list learns from their references.
class Oracle {
 public:
  Oracle(uint32_t seed, int64_t bytes_limit)
      : random_(seed), limit_(bytes_limit), grid_(Pick(1, 6)), tree_(Options(bytes_limit, grid_)) {}

  void Run() {
    for (int operation = 0; operation < 120; ++operation) {
      const std::string tenant = Pick(0, 2) == 0 ? "bob" : "ann";
      const Tokens tokens = Draw();
      switch (Pick(0, 5)) {
        case 0:
          CheckWanted(tenant, tokens);
          break;
        case 1:
        case 2:
          CheckLookup(tenant, tokens);
          break;
        case 3:
          if (limit_ != kPlenty) Evict();
          break;
        default:
          Insert(tenant, tokens);
      }
      CheckFigures();
      if (::testing::Test::HasFailure()) return;
    }
  }

 private:
  using Key = std::pair<std::string, Tokens>;

  int Pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

  Tokens Draw() {
    Tokens tokens(static_cast<size_t>(Pick(1, Pick(0, 3) == 0 ? 30 : 8)));
    for (int32_t& token : tokens) token = Pick(0, 9) == 0 ? 1 : 0;
    return tokens;
  }

  bool Held(const std::string& tenant, const Tokens& tokens) const {
    const auto found = states_.find(Key(tenant, tokens));
    return found != states_.end() && !found->second.expired();
  }
  // How much of `tokens`, but for the last, leads on to something that was inserted.
  int64_t Common(const std::string& tenant, const Tokens& tokens) const {
    int64_t common = 0;
    for (const auto& [key, state] : states_) {
      if (key.first != tenant) continue;
      const auto end =
          std::mismatch(tokens.begin(), tokens.end() - 1, key.second.begin(), key.second.end());
      common = std::max<int64_t>(common, end.first - tokens.begin());
    }
    return common;
  }

  void Insert(const std::string& tenant, const Tokens& tokens) {
    const StateRef state = StateOf(tokens, static_cast<size_t>(Pick(0, 2000)));
    const bool held = Held(tenant, tokens);
    tree_.Insert(tenant, tokens, state);
    if (!held) states_[Key(tenant, tokens)] = state;
    EXPECT_TRUE(!held || state.use_count() == 1) << "the old one stays";
  }

  void Evict() {
    const int64_t before = tree_.figures().states;
    EXPECT_EQ(tree_.EvictOne(), before > 0);
    EXPECT_EQ(tree_.figures().states, std::max<int64_t>(before - 1, 0));
  }

  void CheckLookup(const std::string& tenant, const Tokens& tokens) {
    int64_t position = static_cast<int64_t>(tokens.size()) - 1;
    while (position > 0 && !Held(tenant, Prefix(tokens, position))) --position;
    const int64_t common = Common(tenant, tokens);
    const PrefixHit hit = tree_.Lookup(tenant, tokens);
    EXPECT_EQ(hit.position, position);
    EXPECT_EQ(hit.state,
              position == 0 ? nullptr : states_.at(Key(tenant, Prefix(tokens, position))).lock());
    if (limit_ == kPlenty) {
      EXPECT_EQ(hit.common_tokens, common);
    }
    EXPECT_LE(hit.common_tokens, common);
    EXPECT_GE(hit.common_tokens, position);
    EXPECT_EQ(hit.miss == PrefixMiss::kNone, hit.common_tokens == position);
    if (hit.miss == PrefixMiss::kEvicted) {
      EXPECT_EQ(states_.count(Key(tenant, Prefix(tokens, hit.common_tokens))), 1u);
    }
    hit_tokens_ += position;
  }

  void CheckWanted(const std::string& tenant, const Tokens& tokens) {
    const int64_t from = Pick(0, static_cast<int>(tokens.size()));
    const int64_t common = tree_.Lookup(tenant, tokens).common_tokens;
    hit_tokens_ = tree_.figures().hit_tokens;
    std::vector<int64_t> expected;
    for (int64_t place = from + 1; place < static_cast<int64_t>(tokens.size()); ++place) {
      if (place % grid_ != 0 && place != common) continue;
      if (!Held(tenant, Prefix(tokens, place))) expected.push_back(place);
    }
    EXPECT_EQ(tree_.WantedPositions(tenant, tokens, from), expected);
  }

  void CheckFigures() {
    int64_t states = 0;
    int64_t bytes = 0;
    for (const auto& [key, state] : states_) {
      const StateRef held = state.lock();
      states += held != nullptr ? 1 : 0;
      bytes += held != nullptr ? static_cast<int64_t>(held->bytes) : 0;
    }
    const PrefixFigures figures = tree_.figures();
    EXPECT_EQ(figures.states, states);
    EXPECT_EQ(figures.hit_tokens, hit_tokens_);
    EXPECT_LE(figures.bytes, limit_);
    EXPECT_GE(figures.bytes, bytes);
    if (limit_ == kPlenty) {
      EXPECT_EQ(figures.evictions, 0);
    }
  }

  std::mt19937 random_;
  const int64_t limit_;
  const int64_t grid_;
  PrefixTree tree_;
  std::map<Key, std::weak_ptr<HeldState>> states_;
  int64_t hit_tokens_ = 0;
};

TEST(PrefixTreeSimulation, AgreesWithAPlainListWhenThereIsRoom) {
  for (uint32_t seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE(seed);
    Oracle(seed, kPlenty).Run();
    if (HasFailure()) return;
  }
}

TEST(PrefixTreeSimulation, AgreesWithAPlainListOfWhatIsLeftAndKeepsToTheBudget) {
  for (uint32_t seed = 1; seed <= 1500; ++seed) {
    SCOPED_TRACE(seed);
    Oracle(seed, int64_t{500} << (seed % 7)).Run();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace ssmd
