// Groups of 32 inputs on the tensor core: weights of a panel (layout.h) as operands A, and their
// products with eight rows. Every fast product is made of AddGroup, so that its bits are the same
// in each.
//
// Codes become 16-bit numbers exactly, two at a time: a code of eight bits or fewer is or-ed into
// the significand of 128, or shifted to where bf16 has e4m3's bits, and one fused operation takes
// the bias away. Products of a quantised group are summed by themselves, then scaled.
#ifndef SSMD_KERNELS_CUDA_FRAGMENTS_H_
#define SSMD_KERNELS_CUDA_FRAGMENTS_H_

#include "kernels/cuda/bf16.h"
#include "kernels/cuda/layout.h"
#include "kernels/cuda/simt.h"
#include "kernels/quantise.h"

namespace ssmd::kernels::cuda::fast {

inline constexpr int kGroupTiles = 2;  // of 16 inputs

// Weights in a format with inputs in one part or three (rounded_rows.h). Weights in f16 with inputs
// in three bf16 are taken as two bf16, which is exact.
template <WeightFormat kWeights, int kInputParts>
struct ProductKind {
  static constexpr WeightFormat kFormat = kWeights;
  static constexpr int kParts = kInputParts;
  static constexpr bool kHalves = kFormat == WeightFormat::kF16 && kParts == 1;
  static constexpr int kWeightParts = kFormat == WeightFormat::kF16 && kParts > 1 ? 2 : 1;
  static constexpr bool kQ4 = kFormat == WeightFormat::kQ4;
  static constexpr bool kGroups = kFormat == WeightFormat::kQ8 || kQ4;
  static constexpr int64_t kCodeBytes = BlockCodeBytes(kFormat);
  static constexpr int64_t kFactorBytes = BlockFactorBytes(kFormat);
  // Of a lane and a block of 64 inputs: its chunks of 16 bytes, and its words of factors.
  static constexpr int kChunks = CodeBits(kFormat) / 4;
  static constexpr int kFactorWords = kQ4 ? 4 : kGroups ? 2 : 0;
};

// A lane's share of a group: fragments of two tiles, and what the products of its rows g and g + 8
// are multiplied by.
template <typename Kind>
struct GroupWeights {
  uint32_t a[kGroupTiles][Kind::kWeightParts][4];
  float scale[2];
  float minimum[2];
};

namespace fragments {

inline constexpr uint32_t kOne = 0x3F803F80;
inline constexpr uint32_t k128 = 0x43004300;
inline constexpr uint32_t kMinus128 = 0xC300C300;
inline constexpr uint32_t kMinus256 = 0xC380C380;

// Of the codes in the low bytes of the halves: those from 128 on stand for 0 and more.
SIMT_DEVICE uint32_t OfQ8(uint32_t codes) {
  const uint32_t bias = (codes & 0x00800080) ^ kMinus256;  // −256, or −128
  return FmaBf16x2((codes & 0x007F007F) | k128, kOne, bias);
}
SIMT_DEVICE uint32_t OfQ4(uint32_t codes) {
  return FmaBf16x2((codes & 0x000F000F) | k128, kOne, kMinus128);
}
// e4m3's exponent and significand as those of bf16 are 2^−120 of the number, denormals too.
SIMT_DEVICE uint32_t OfFp8(uint32_t magnitudes, uint32_t signs) {
  return FmaBf16x2((magnitudes & 0x07F007F0) | (signs & 0x80008000), 0x7B807B80, 0x80008000);
}

// Two f16 as the sums of two bf16 each.
SIMT_DEVICE void SplitHalves(uint32_t halves, uint32_t& high, uint32_t& low) {
  high = 0;
  low = 0;
  for (int shift = 0; shift < 32; shift += 16) {
    const float value = HalfToFloat(static_cast<uint16_t>(halves >> shift));
    const uint32_t first = Bf16Bits(value);
    high |= first << shift;
    low |= Bf16Bits(value - FloatOf(first << 16)) << shift;
  }
}

SIMT_DEVICE uint32_t WordOf(const Words4& words, int i) {
  return i == 0 ? words.x : i == 1 ? words.y : i == 2 ? words.z : words.w;
}

// The fragments of a tile, whose chunk is `words`: the tile-th of the chunk.
template <typename Kind>
SIMT_DEVICE void OfTile(const Words4& words, int tile, uint32_t (&a)[Kind::kWeightParts][4]) {
  if constexpr (Kind::kChunks == 4) {
    for (int i = 0; i < 4; ++i) {
      if constexpr (Kind::kWeightParts == 2) {
        SplitHalves(WordOf(words, i), a[0][i], a[1][i]);
      } else {
        a[0][i] = WordOf(words, i);
      }
    }
  } else if constexpr (Kind::kChunks == 2) {
    for (int i = 0; i < 4; ++i) {
      const uint32_t word = WordOf(words, tile * 2 + i / 2);
      if constexpr (Kind::kFormat == WeightFormat::kQ8) {
        a[0][i] = OfQ8(i % 2 == 0 ? word : word >> 8);
      } else {
        a[0][i] = i % 2 == 0 ? OfFp8(word << 4, word << 8) : OfFp8(word >> 4, word);
      }
    }
  } else {
    for (int i = 0; i < 4; ++i) a[0][i] = OfQ4(WordOf(words, tile) >> (4 * i));
  }
}

}  // namespace fragments

// A lane's weights of group `group` of a block, whose chunks and factors are `chunk(i)` and
// `factor(i)`.
template <typename Kind, typename Chunk, typename Factor>
SIMT_DEVICE GroupWeights<Kind> UnpackGroup(int group, const Chunk& chunk, const Factor& factor) {
  GroupWeights<Kind> weights = {};
  constexpr int kChunkTiles = 4 / Kind::kChunks;
  for (int t = 0; t < kGroupTiles; ++t) {
    const int tile = group * kGroupTiles + t;
    fragments::OfTile<Kind>(chunk(tile / kChunkTiles), tile % kChunkTiles, weights.a[t]);
  }
  if constexpr (Kind::kGroups) {
    constexpr int kWords = Kind::kFactorWords / kBlockGroups;
    const uint32_t scales = factor(group * kWords);
    const uint32_t minima = Kind::kQ4 ? factor(group * kWords + kWords - 1) : 0;
    for (int i = 0; i < 2; ++i) {
      weights.scale[i] = HalfToFloat(static_cast<uint16_t>(scales >> (16 * i)));
      weights.minimum[i] = HalfToFloat(static_cast<uint16_t>(minima >> (16 * i)));
    }
  }
  return weights;
}

// Eight rows' inputs of a group, as operands B, and the sums of columns 2q and 2q + 1 (rows of the
// product), in q4.
template <typename Kind>
struct GroupInputs {
  uint32_t b[kGroupTiles][Kind::kParts][2];
  float sums[2];
};

// acc += a quantised group's sums of products, scaled; and in q4 the minimum's share, by the sums
// of the inputs.
template <typename Kind>
SIMT_DEVICE void ScaleGroup(const GroupWeights<Kind>& weights, const float (&sum)[4],
                            const float (&input_sums)[2], float (&acc)[4]) {
  for (int i = 0; i < 4; ++i) {
    acc[i] = Fma(weights.scale[i / 2], sum[i], acc[i]);
    if (Kind::kQ4) acc[i] = Fma(weights.minimum[i / 2], input_sums[i % 2], acc[i]);
  }
}

// acc += weights · inputs, of 16 outputs and eight rows. Tiles ascend; in each the parts of the
// inputs do, the high one first, and in each of those the parts of the weights.
template <typename Kind>
SIMT_DEVICE void AddGroup(const GroupWeights<Kind>& weights, const GroupInputs<Kind>& inputs,
                          float (&acc)[4]) {
  float group[4] = {};
  float(&sum)[4] = Kind::kGroups ? group : acc;
  for (int t = 0; t < kGroupTiles; ++t) {
    for (int part = 0; part < Kind::kParts; ++part) {
      for (int w = 0; w < Kind::kWeightParts; ++w) {
        if constexpr (Kind::kHalves) {
          MmaF16(sum, weights.a[t][w], inputs.b[t][part]);
        } else {
          MmaBf16(sum, weights.a[t][w], inputs.b[t][part]);
        }
      }
    }
  }
  if constexpr (Kind::kGroups) ScaleGroup(weights, sum, inputs.sums, acc);
}

}  // namespace ssmd::kernels::cuda::fast

#endif  // SSMD_KERNELS_CUDA_FRAGMENTS_H_
