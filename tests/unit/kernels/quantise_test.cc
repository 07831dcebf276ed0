// Quantised groups: how far a weight may be from what is kept, and what is kept exactly.
#include "kernels/quantise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "kernels/matrix_source.h"
#include "kernels/number_format.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {
namespace {

constexpr WeightFormat kFormats[] = {WeightFormat::kQ8, WeightFormat::kQ4};

double LargestError(const Tensor& weights, const QuantisedGroup& group, WeightFormat format) {
  double largest = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double kept = DequantisedWeight(group, static_cast<int64_t>(i), format);
    largest = std::max(largest, std::abs(kept - double{weights[i]}));
  }
  return largest;
}

double SquaredError(const Tensor& weights, const QuantisedGroup& group, WeightFormat format) {
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double kept = DequantisedWeight(group, static_cast<int64_t>(i), format);
    sum += (kept - double{weights[i]}) * (kept - double{weights[i]});
  }
  return sum;
}

TEST(Quantise, Q8IsWithinHalfAStep) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    const float scale = std::ldexp(1.0f, static_cast<int>(seed % 24) - 12);
    const Tensor weights = RandomTensor(1 + seed % 32, seed, -scale, scale);
    const QuantisedGroup group =
        QuantiseGroup(weights.data(), static_cast<int64_t>(weights.size()), WeightFormat::kQ8);
    const double step = WidenF16(group.scale);
    EXPECT_LE(LargestError(weights, group, WeightFormat::kQ8), step * 0.500001) << seed;
  }
}

// The search may clip what is far out, but must not do worse than the plain range would.
TEST(Quantise, Q4IsAtLeastAsGoodAsItsPlainRange) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    Tensor weights = RandomTensor(32, seed);
    if (seed % 4 == 0) weights[seed % 32] *= 6;
    const auto [low, high] = std::minmax_element(weights.begin(), weights.end());
    const double step = (double{*high} - *low) / 15;
    double plain = 0;
    for (const float w : weights) {
      const double kept = *low + step * std::nearbyint((w - *low) / step);
      plain += (kept - w) * (kept - w);
    }
    const QuantisedGroup group = QuantiseGroup(weights.data(), 32, WeightFormat::kQ4);
    EXPECT_LE(SquaredError(weights, group, WeightFormat::kQ4), plain * 1.01) << seed;
  }
}

TEST(Quantise, WhatAGroupCanSayIsKeptExactly) {
  Tensor q8, q4;
  for (int i = 0; i < 32; ++i) {
    q8.push_back(0.25f * static_cast<float>(i * 8 - 127));  // −127 … 121, with 127 reached
    q4.push_back(0.125f * static_cast<float>(i % 16) - 0.75f);
  }
  EXPECT_EQ(LargestError(q8, QuantiseGroup(q8.data(), 32, WeightFormat::kQ8), WeightFormat::kQ8),
            0);
  EXPECT_EQ(LargestError(q4, QuantiseGroup(q4.data(), 32, WeightFormat::kQ4), WeightFormat::kQ4),
            0);
}

// Rows of two blocks, with a code that no quantiser of ours gives (−128), and a negative scale.
TEST(Quantise, BlocksOfFilesKeepTheirWeights) {
  const struct {
    MatrixSource::Type type;
    size_t code_bytes;
    WeightFormat format;
  } kCases[] = {{MatrixSource::Type::kQ8_0, 32, WeightFormat::kQ8},
                {MatrixSource::Type::kQ4_0, 16, WeightFormat::kQ8},
                {MatrixSource::Type::kQ4_0, 16, WeightFormat::kQ4}};
  for (const auto& c : kCases) {
    std::vector<std::byte> blocks;
    for (const uint16_t scale : {uint16_t{0x2E66}, uint16_t{0xB001}, uint16_t{0}, uint16_t{1}}) {
      blocks.push_back(static_cast<std::byte>(scale & 0xFF));
      blocks.push_back(static_cast<std::byte>(scale >> 8));
      for (size_t i = 0; i < c.code_bytes; ++i) {
        blocks.push_back(static_cast<std::byte>(128 + 37 * i * blocks.size()));
      }
    }
    const MatrixSource source = {blocks.data(), c.type, 2, 64};
    for (int64_t row = 0; row < 2; ++row) {
      Tensor weights(64), scratch(64);
      ReadSourceRow(source, row, weights.data());
      QuantisedGroup groups[2];
      QuantiseSourceRow(source, row, c.format, scratch.data(), groups);
      for (int64_t i = 0; i < 64; ++i) {
        EXPECT_EQ(DequantisedWeight(groups[i / 32], i % 32, c.format),
                  weights[static_cast<size_t>(i)]);
      }
    }
  }
}

TEST(Quantise, OtherSourcesAreReadByRow) {
  const Tensor weights = RandomTensor(3 * 70, 4);
  const MatrixSource source = SourceOf(weights, 3, 70);
  Tensor scratch(70);
  QuantisedGroup groups[3];
  QuantiseSourceRow(source, 2, WeightFormat::kQ8, scratch.data(), groups);
  const QuantisedGroup last = QuantiseGroup(weights.data() + 2 * 70 + 64, 6, WeightFormat::kQ8);
  EXPECT_TRUE(std::equal(last.codes, last.codes + kGroupInputs, groups[2].codes));
  EXPECT_EQ(last.scale, groups[2].scale);
}

TEST(Quantise, ConstantAndZeroGroups) {
  for (WeightFormat format : kFormats) {
    for (const float value : {0.0f, 1.0f, -3.0f, 0x1p-30f}) {
      const Tensor weights(32, value);
      const QuantisedGroup group = QuantiseGroup(weights.data(), 32, format);
      EXPECT_NEAR(DequantisedWeight(group, 31, format), value, std::abs(value) / 256 + 0x1p-30);
    }
  }
}

TEST(Quantise, TheLargestWeightsStayFinite) {
  for (WeightFormat format : kFormats) {
    Tensor weights(32, -kMaxQuantisedWeight);
    for (size_t i = 0; i < weights.size(); i += 3) weights[i] = kMaxQuantisedWeight;
    const QuantisedGroup group = QuantiseGroup(weights.data(), 32, format);
    EXPECT_LT(LargestError(weights, group, format), kMaxQuantisedWeight * 0.01);
  }
}

TEST(Quantise, InputsBeyondTheCountDoNotMatter) {
  for (WeightFormat format : kFormats) {
    Tensor weights = RandomTensor(32, 1);
    const QuantisedGroup group = QuantiseGroup(weights.data(), 5, format);
    std::fill(weights.begin() + 5, weights.end(), 1e4f);
    const QuantisedGroup same = QuantiseGroup(weights.data(), 5, format);
    EXPECT_TRUE(std::equal(group.codes, group.codes + kGroupInputs, same.codes));
    EXPECT_EQ(group.scale, same.scale);
    EXPECT_EQ(group.minimum, same.minimum);
  }
}

// Every value of e4m3 stays itself, and what lies between two goes to the nearer one, to the even
// one from the middle.
TEST(E4m3, RoundsToTheNearest) {
  for (int code = 0; code < 0x7E; ++code) {
    const float low = WidenE4m3(static_cast<uint8_t>(code));
    const float high = WidenE4m3(static_cast<uint8_t>(code + 1));
    const float middle = (low + high) / 2;
    const int even = code % 2 == 0 ? code : code + 1;
    for (const float sign : {1.0f, -1.0f}) {
      const int base = sign < 0 ? 0x80 : 0;
      EXPECT_EQ(RoundToE4m3(sign * low), base + code);
      EXPECT_EQ(RoundToE4m3(sign * std::nextafter(middle, 0.0f)), base + code);
      EXPECT_EQ(RoundToE4m3(sign * middle), base + even);
      EXPECT_EQ(RoundToE4m3(sign * std::nextafter(middle, 1000.0f)), base + code + 1);
    }
  }
  EXPECT_EQ(WidenE4m3(1), 0x1p-9f);
  EXPECT_EQ(WidenE4m3(0x38), 1.0f);
  EXPECT_EQ(WidenE4m3(0x7E), kMaxE4m3);
}

TEST(E4m3, SaturatesAndMakesNoNan) {
  for (const float beyond : {448.0f, 464.0f, 1e9f, std::numeric_limits<float>::infinity()}) {
    EXPECT_EQ(RoundToE4m3(beyond), 0x7E);
    EXPECT_EQ(RoundToE4m3(-beyond), 0xFE);
  }
  EXPECT_EQ(RoundToE4m3(0x1p-149f), 0);
}

TEST(E4m3, TheLargestWeightOfAnOutputIsTheLargestNumber) {
  const Tensor weights = {0.5f, -3.0f, 1.0f};
  const float scale = E4m3Scale(weights.data(), 3);
  EXPECT_EQ(scale, 3.0f / 448);
  EXPECT_EQ(E4m3Code(-3.0f, scale), 0xFE);
  EXPECT_NEAR(WidenE4m3(E4m3Code(0.5f, scale)) * scale, 0.5f, 0.5f / 16);
}

TEST(E4m3, WeightsWithoutAScaleAreZero) {
  const Tensor weights = {0x1p-120f, -0x1p-149f};
  EXPECT_EQ(E4m3Scale(weights.data(), 2), 0);
  EXPECT_EQ(E4m3Code(0x1p-120f, 0), 0);
}

}  // namespace
}  // namespace ssmd::kernels
