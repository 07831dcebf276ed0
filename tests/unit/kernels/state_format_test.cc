// The rounding of states: what it does to single numbers, and that it is right in the mean.
#include "kernels/state_format.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/number_format.h"
#include "kernels/tensor.h"

namespace ssmd::kernels {
namespace {

constexpr uint32_t kNothing = 0, kMost = 0xFFFFFFFF;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

float Bf16(float value, uint32_t word) { return WidenBf16(RoundStateToBf16(value, word)); }
float F16(float value, uint32_t word) { return WidenF16(RoundStateToF16(value, word)); }

TEST(StateFormat, NamesAreReadBack) {
  for (const StateFormat format : kAllStateFormats) {
    EXPECT_EQ(ParseStateFormat(StateFormatName(format)), format);
  }
  EXPECT_EQ(ParseStateFormat("fp16"), std::nullopt);
  EXPECT_EQ(StateFormatBytes(StateFormat::kF32), 4u);
  EXPECT_EQ(StateFormatBytes(StateFormat::kF16), 2u);
}

TEST(StateFormat, WhatFitsIsKept) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    for (const uint32_t word : {kNothing, 0x12345678u, kMost}) {
      if (std::isfinite(WidenBf16(half))) {
        EXPECT_EQ(RoundStateToBf16(WidenBf16(half), word), half);
      }
      if (std::isfinite(WidenF16(half))) {
        EXPECT_EQ(RoundStateToF16(WidenF16(half), word), half);
      }
    }
  }
}

TEST(StateFormat, RoundsToEitherNeighbourAsTheWordHasIt) {
  // A quarter of the way from 1 to the next: up for a quarter of the words, whatever the sign.
  const float bf16 = 1 + 0x1p-9f, f16 = 1 + 0x1p-12f;
  for (const float sign : {1.0f, -1.0f}) {
    EXPECT_EQ(Bf16(sign * bf16, 0xBFFFFFFF), sign);
    EXPECT_EQ(Bf16(sign * bf16, 0xC0000000), sign * (1 + 0x1p-7f));
    EXPECT_EQ(F16(sign * f16, 0xBFFFFFFF), sign);
    EXPECT_EQ(F16(sign * f16, 0xC0000000), sign * (1 + 0x1p-10f));
    // Below the normal numbers of f16 neighbours are 2^−24 apart.
    EXPECT_EQ(F16(sign * 5.25f * 0x1p-24f, 0xBFFFFFFF), sign * 5 * 0x1p-24f);
    EXPECT_EQ(F16(sign * 5.25f * 0x1p-24f, 0xC0000000), sign * 6 * 0x1p-24f);
  }
  EXPECT_EQ(Bf16(std::nextafter(2.0f, 0.0f), kMost), 2);  // the carry goes on into the exponent
  EXPECT_EQ(F16(std::nextafter(2.0f, 0.0f), kMost), 2);
  EXPECT_EQ(F16(std::nextafter(0x1p-14f, 0.0f), kMost), 0x1p-14f);
}

TEST(StateFormat, StaysFiniteAndKeepsWhatIsNot) {
  const float largest = std::numeric_limits<float>::max();
  EXPECT_EQ(RoundStateToBf16(largest, kMost), 0x7F7F);
  EXPECT_EQ(RoundStateToBf16(-largest, kMost), 0xFF7F);
  for (const float value : {65504.0f, 65519.0f, 65536.0f, 1e20f, largest}) {
    EXPECT_EQ(F16(value, kMost), 65504) << value;
    EXPECT_EQ(F16(-value, kMost), -65504) << value;
  }
  for (const uint32_t word : {kNothing, kMost}) {
    EXPECT_EQ(Bf16(kInfinity, word), kInfinity);
    EXPECT_EQ(F16(-kInfinity, word), -kInfinity);
    EXPECT_TRUE(std::isnan(Bf16(NAN, word)));
    EXPECT_TRUE(std::isnan(F16(NAN, word)));
    EXPECT_EQ(RoundStateToBf16(0.0f, word), 0);
    EXPECT_EQ(RoundStateToF16(0.0f, word), 0);
  }
}

// The mean of many roundings is the value: with a deviation of a fraction of a unit each, that of
// the mean of 2^16 is less than 1/500 of a unit; five of them are allowed.
TEST(StateFormat, IsRightInTheMean) {
  constexpr int kTokens = 1 << 16;
  std::mt19937 engine(7);
  for (int i = 0; i < 40; ++i) {
    const float value = std::ldexp(1 + static_cast<float>(engine() >> 8) * 0x1p-24f,
                                   static_cast<int>(engine() % 30) - 22);
    double bf16 = 0, f16 = 0;
    for (int position = 0; position < kTokens; ++position) {
      const uint32_t word = RoundingWord(RoundingKey(position, 3), static_cast<uint32_t>(i) * 911);
      bf16 += double{Bf16(value, word)} - value;
      f16 += double{F16(value, word)} - value;
    }
    const int exponent = std::ilogb(value);
    EXPECT_LT(std::abs(bf16) / kTokens, 0.01 * std::ldexp(1, exponent - 7)) << value;
    EXPECT_LT(std::abs(f16) / kTokens, 0.01 * std::ldexp(1, std::max(exponent, -14) - 10)) << value;
  }
}

// What chi-square makes of counts that should be even, as a distance from its mean in deviations.
double Unevenness(const std::vector<int>& counts) {
  double total = 0;
  for (const int count : counts) total += count;
  const double mean = total / static_cast<double>(counts.size());
  double sum = 0;
  for (const int count : counts) sum += (count - mean) * (count - mean) / mean;
  const auto freedom = static_cast<double>(counts.size() - 1);
  return (sum - freedom) / std::sqrt(2 * freedom);
}

// The high bits of two draws that are neighbours in some way, in 64 × 64 boxes.
template <typename Draw>
void ExpectIndependent(const char* what, const Draw& draw) {
  std::vector<int> boxes(64 * 64), first(256);
  for (uint32_t i = 0; i < (1u << 18); ++i) {
    const auto [a, b] = draw(i);
    ++boxes[(a >> 26) * 64 + (b >> 26)];
    ++first[a >> 24];
  }
  EXPECT_LT(std::abs(Unevenness(boxes)), 5) << what;
  EXPECT_LT(std::abs(Unevenness(first)), 5) << what;
}

TEST(StateFormat, DrawsOfNeighboursAreIndependent) {
  const auto word = [](int64_t position, uint32_t layer, uint32_t element) {
    return RoundingWord(RoundingKey(position, layer), element);
  };
  const auto pair = [](uint32_t a, uint32_t b) { return std::pair(a, b); };
  ExpectIndependent("tokens that follow each other",
                    [&](uint32_t i) { return pair(word(i, 5, 77), word(i + 1, 5, 77)); });
  ExpectIndependent("elements side by side", [&](uint32_t i) {
    return pair(word(i >> 8, 5, i & 255), word(i >> 8, 5, (i & 255) + 1));
  });
  ExpectIndependent("elements of neighbouring state indices", [&](uint32_t i) {
    return pair(word(i >> 10, 5, i & 1023), word(i >> 10, 5, (i & 1023) + 64));
  });
  ExpectIndependent("layers", [&](uint32_t i) { return pair(word(i, 0, 9), word(i, 1, 9)); });
  ExpectIndependent("an element a chunk later",
                    [&](uint32_t i) { return pair(word(i, 2, 640), word(i + 32, 2, 640)); });
  ExpectIndependent("low bits of the random ones", [&](uint32_t i) {
    return pair(word(i, 5, 77) << 10, word(i + 1, 5, 77) << 10);
  });
}

// Errors of a token do not go along with each other: the sum over many elements is as small as
// that of independent ones.
TEST(StateFormat, ErrorsOfATokenDoNotAddUp) {
  constexpr uint32_t kElements = 4096;
  double squares = 0;
  constexpr int kTokens = 2000;
  for (int position = 0; position < kTokens; ++position) {
    const uint32_t key = RoundingKey(position, 1);
    double sum = 0;
    for (uint32_t element = 0; element < kElements; ++element) {
      sum += (RoundingWord(key, element) >> 16) * 0x1p-16 - 0.5;
    }
    squares += sum * sum;
  }
  // Each draw has a variance of 1/12, and the sum's square spreads by sqrt(2) of its mean.
  EXPECT_NEAR(squares / kTokens / (kElements / 12.0), 1, 5 * std::sqrt(2.0 / kTokens));
}

}  // namespace
}  // namespace ssmd::kernels
