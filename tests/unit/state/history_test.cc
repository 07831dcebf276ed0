#include "engine/state/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <algorithm>
#include <random>

namespace ssmd {
namespace {

constexpr int64_t kBlock = History::kBlock;

// Token i is 3i + 1, sampled where i is odd.
TokenLog LogOf(int64_t begin, int64_t end) {
  TokenLog tokens;
  for (int64_t i = begin; i < end; ++i) tokens.emplace_back(static_cast<int32_t>(3 * i + 1), i % 2);
  return tokens;
}

History Make(int64_t size) {
  History history;
  history.Append(LogOf(0, size));
  return history;
}

bool Equal(const TokenLog& a, const TokenLog& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](LoggedToken x, LoggedToken y) {
    return x.token_id() == y.token_id() && x.sampled() == y.sampled();
  });
}

constexpr int64_t kSizes[] = {0,          1,          kBlock - 1,     kBlock,
                              kBlock + 1, 2 * kBlock, 2 * kBlock + 7, 5 * kBlock};

TEST(History, KeepsWhatWasAppendedInAnyPieces) {
  for (const int64_t piece : {int64_t{1}, int64_t{7}, kBlock - 1, kBlock, 3 * kBlock}) {
    for (const int64_t size : kSizes) {
      History history;
      for (int64_t at = 0; at < size; at += piece) {
        history.Append(LogOf(at, std::min(at + piece, size)));
      }
      EXPECT_EQ(history.size(), size);
      EXPECT_EQ(history.empty(), size == 0);
      EXPECT_TRUE(Equal(history.Range(0, size), LogOf(0, size))) << piece << " " << size;
      EXPECT_EQ(history.Hash(size), Make(size).Hash(size)) << piece << " " << size;
    }
  }
}

TEST(History, GivesAnyRange) {
  const History history = Make(2 * kBlock + 7);
  for (const int64_t begin : kSizes) {
    for (const int64_t end : kSizes) {
      if (begin > end || end > history.size()) continue;
      EXPECT_TRUE(Equal(history.Range(begin, end), LogOf(begin, end))) << begin << " " << end;
    }
  }
}

TEST(History, IsAfterTruncationAsIfItHadNeverBeenLonger) {
  for (const int64_t from : kSizes) {
    for (const int64_t to : kSizes) {
      if (to > from) continue;
      History history = Make(from);
      history.Truncate(to);
      EXPECT_EQ(history.size(), to);
      EXPECT_TRUE(Equal(history.Range(0, to), LogOf(0, to))) << from << " " << to;
      EXPECT_EQ(history.Hash(to), Make(to).Hash(to)) << from << " " << to;
      history.Append(LogOf(to, to + kBlock + 3));
      EXPECT_EQ(history.Hash(to + kBlock + 3), Make(to + kBlock + 3).Hash(to + kBlock + 3));
    }
  }
}

TEST(History, IsACopyThatChangesAlone) {
  const History original = Make(2 * kBlock + 7);
  History copy = original;
  copy.Truncate(kBlock + 3);
  copy.Append(LogOf(1000, 1010));
  EXPECT_TRUE(Equal(original.Range(0, original.size()), LogOf(0, 2 * kBlock + 7)));
  TokenLog expected = LogOf(0, kBlock + 3);
  const TokenLog appended = LogOf(1000, 1010);
  expected.insert(expected.end(), appended.begin(), appended.end());
  EXPECT_TRUE(Equal(copy.Range(0, copy.size()), expected));
}

TEST(History, SharesWholeBlocksWithItsCopies) {
  EXPECT_LT(Make(100 * kBlock).bytes(), static_cast<size_t>(100 * kBlock));
}

TEST(History, HashesIdsByBlockEachSeededWithTheOneBefore) {
  const int64_t size = 2 * kBlock + 7;
  uint64_t expected = 0;
  for (int64_t at = 0; at < size; at += kBlock) {
    std::vector<int32_t> ids;
    for (const LoggedToken token : LogOf(at, std::min(at + kBlock, size))) {
      ids.push_back(token.token_id());
    }
    expected = XXH3_64bits_withSeed(ids.data(), ids.size() * 4, expected);
  }
  const History history = Make(size);
  EXPECT_EQ(history.Hash(size), expected);
  EXPECT_EQ(history.Hash(0), 0u);
}

TEST(History, HashesEveryPrefixAsThatPrefixAlone) {
  const History history = Make(2 * kBlock + 7);
  for (int64_t length = 0; length <= history.size(); ++length) {
    ASSERT_EQ(history.Hash(length), Make(length).Hash(length)) << length;
  }
}

TEST(History, HashesIdsAndNotWhoMadeThem) {
  History fed;
  History sampled;
  History other;
  for (int32_t i = 0; i < 300; ++i) {
    fed.Append({{i, false}});
    sampled.Append({{i, true}});
    other.Append({{i == 17 ? 18 : i, false}});
  }
  EXPECT_EQ(fed.Hash(300), sampled.Hash(300));
  EXPECT_EQ(fed.Hash(17), other.Hash(17));
  EXPECT_NE(fed.Hash(18), other.Hash(18));
  EXPECT_NE(fed.Hash(300), other.Hash(300));
}

}  // namespace
}  // namespace ssmd
