#include "kernels/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace ssmd::kernels {
namespace {

using Words = std::array<uint32_t, 4>;

// Known answers published with the Random123 library.
TEST(Philox, GivesThePublishedAnswers) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(Philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, EveryPartOfTheKeyChangesTheDraw) {
  const DrawKey key{1, 2, 3};
  const double draw = Gumbel(key, 4);
  EXPECT_EQ(draw, Gumbel(key, 4));
  EXPECT_NE(draw, Gumbel(key, 5));
  EXPECT_NE(draw, Gumbel({1 + (uint64_t{1} << 32), 2, 3}, 4));
  EXPECT_NE(draw, Gumbel({2, 2, 3}, 4));
  EXPECT_NE(draw, Gumbel({1, 3, 3}, 4));
  EXPECT_NE(draw, Gumbel({1, 2, 4}, 4));
  EXPECT_NE(draw, Gumbel({1, 2, 3 + (uint64_t{1} << 32)}, 4));
}

TEST(Random, LogIsWithinTwoUlp) {
  std::vector<double> values = {0x1p-1022,  0x1p-53,     0x1p-52, 0.5,         0.70710678,
                                0.70710679, 1 - 0x1p-53, 1.0,     1 + 0x1p-52, 1.41,
                                1.42,       36.7,        1e300};
  for (int i = 1; i < 20000; ++i) values.push_back(i * 0x1.000001p-14);
  for (double value : values) {
    const double exact = std::log(value);
    const double ulp = std::nextafter(std::abs(exact), INFINITY) - std::abs(exact);
    EXPECT_LE(std::abs(Log(value) - exact), 2 * ulp) << value;
  }
}

// Kolmogorov–Smirnov against the Gumbel distribution: the 99.9% bound is 1.95 / sqrt(n).
TEST(Random, DrawsAreGumbelDistributed) {
  constexpr int kDraws = 100000;
  std::vector<double> probabilities;
  probabilities.reserve(kDraws);
  for (int32_t i = 0; i < kDraws; ++i) {
    probabilities.push_back(std::exp(-std::exp(-Gumbel({42, 0, 7}, i))));
  }
  std::sort(probabilities.begin(), probabilities.end());
  double distance = 0;
  for (int i = 0; i < kDraws; ++i) {
    distance = std::max(distance, std::abs(probabilities[i] - (i + 0.5) / kDraws));
  }
  EXPECT_LT(distance, 1.95 / std::sqrt(kDraws));
}

}  // namespace
}  // namespace ssmd::kernels
