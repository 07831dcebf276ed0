#include "engine/text/bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <vector>

namespace ssmd {
namespace {

using testing::ElementsAre;

std::array<int32_t, 256> Bytes() {
  std::array<int32_t, 256> ids{};
  for (int i = 0; i < 256; ++i) ids[static_cast<size_t>(i)] = i;
  return ids;
}

std::vector<int32_t> Encode(const Bpe& bpe, std::string_view piece) {
  std::vector<int32_t> ids;
  bpe.Encode(piece, &ids);
  return ids;
}

// The definition: of all pairs the lowest rank, of equals the leftmost, until none is left.
std::vector<int32_t> EncodeNaively(const std::vector<Bpe::Merge>& merges, std::string_view piece) {
  std::vector<int32_t> ids(piece.begin(), piece.end());
  const auto rank_at = [&](size_t i) {
    for (size_t rank = 0; rank < merges.size(); ++rank) {
      if (merges[rank].left == ids[i] && merges[rank].right == ids[i + 1]) return rank;
    }
    return merges.size();
  };
  for (;;) {
    size_t best = merges.size();
    size_t at = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      if (rank_at(i) < best) {
        best = rank_at(i);
        at = i;
      }
    }
    if (best == merges.size()) return ids;
    ids[at] = merges[best].merged;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

TEST(Bpe, MergesByRankThenFromTheLeft) {
  const Bpe bpe(Bytes(), {{'b', 'c', 256}, {'a', 'b', 257}, {'a', 'a', 258}});
  EXPECT_THAT(Encode(bpe, "abc"), ElementsAre('a', 256));
  EXPECT_THAT(Encode(bpe, "abd"), ElementsAre(257, 'd'));
  EXPECT_THAT(Encode(bpe, "aaa"), ElementsAre(258, 'a'));
}

TEST(Bpe, OfTwoMergesForOnePairTheLaterCounts) {
  const Bpe bpe(Bytes(), {{'a', 'b', 256}, {'b', 'c', 257}, {'a', 'b', 256}});
  EXPECT_THAT(Encode(bpe, "abc"), ElementsAre('a', 257));
}

TEST(Bpe, SkipsBytesThatAreNoToken) {
  auto bytes = Bytes();
  bytes['x'] = -1;
  const Bpe bpe(bytes, {{'a', 'b', 256}});
  EXPECT_THAT(Encode(bpe, "axb"), ElementsAre(256));
  EXPECT_THAT(Encode(bpe, "xx"), ElementsAre());
}

TEST(Bpe, WholePiecesGoBeforeMerges) {
  Bpe bpe(Bytes(), {{'a', 'b', 256}});
  bpe.AddWholePiece("abc", 300);
  EXPECT_THAT(Encode(bpe, "abc"), ElementsAre(300));
  EXPECT_THAT(Encode(bpe, "abcd"), ElementsAre(256, 'c', 'd'));
}

TEST(Bpe, WholePiecesThatMergesDoNotReachStayOut) {
  Bpe bpe(Bytes(), {{'b', 'c', 256}, {'a', 'b', 257}, {257, 'c', 258}});
  bpe.AddWholePieceIfEquivalent("ab", 257);
  bpe.AddWholePieceIfEquivalent("abc", 258);  // b and c merge first
  EXPECT_THAT(Encode(bpe, "ab"), ElementsAre(257));
  EXPECT_THAT(Encode(bpe, "abc"), ElementsAre('a', 256));
}

// Random merges over three letters; pieces on both sides of the length where the algorithm changes.
TEST(Bpe, EqualsTheDefinition) {
  std::mt19937 random(1);
  const auto below = [&](size_t n) { return random() % n; };
  for (int round = 0; round < 60; ++round) {
    std::vector<int32_t> tokens = {'a', 'b', 'c'};
    std::vector<Bpe::Merge> merges;
    for (int32_t next = 256; next < 270; ++next) {
      const Bpe::Merge merge{tokens[below(tokens.size())], tokens[below(tokens.size())], next};
      const auto same = [&](const Bpe::Merge& other) {
        return other.left == merge.left && other.right == merge.right;
      };
      if (std::any_of(merges.begin(), merges.end(), same)) continue;
      merges.push_back(merge);
      tokens.push_back(next);
    }
    const Bpe bpe(Bytes(), merges);
    for (size_t length = 1; length < 80; length += 1 + below(5)) {
      std::string piece;
      for (size_t i = 0; i < length; ++i) piece += "abc"[below(3)];
      ASSERT_EQ(Encode(bpe, piece), EncodeNaively(merges, piece)) << piece;
    }
  }
}

TEST(Bpe, EncodesAMegabyteOfOneLetter) {
  std::vector<Bpe::Merge> merges = {{'a', 'a', 256}};
  for (int32_t i = 256; i < 265; ++i) merges.push_back({i, i, i + 1});
  const Bpe bpe(Bytes(), merges);
  const std::vector<int32_t> ids = Encode(bpe, std::string(size_t{1} << 20, 'a'));
  EXPECT_EQ(ids, std::vector<int32_t>(1 << 10, 265));
}

}  // namespace
}  // namespace ssmd
