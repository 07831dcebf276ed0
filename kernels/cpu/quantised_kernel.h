// Matrix products with quantised weights: rounding a row of inputs to int8, and rows against panels
// of 16 outputs (quantised_layout.h). Include after a vec_*.h, vec_math.h and a
// dot_*.h. Internal linkage.
//
// A group's product is an exact integer. One float accumulator an output takes the groups in
// ascending order within a run, and runs are added in ascending order, so tiles of rows and panels
// do not show in the result. A run's weights of one panel (8.5 KB in q8) stay in the nearest cache
// from tile to tile, while the accumulators of the runs before it wait in memory.
#ifndef SSMD_KERNELS_CPU_QUANTISED_KERNEL_H_
#define SSMD_KERNELS_CPU_QUANTISED_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/norm_kernel.h"
#include "kernels/cpu/product_output.h"
#include "kernels/cpu/quantised_layout.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int kGroup = 32;  // kGroupInputs of quantise.h
constexpr int64_t kRunBlocks = kRun / kBlockInputs;
// Tiles this low outrun memory, and fetch their weights this far ahead.
constexpr int kDotPrefetchRows = 2;
constexpr int64_t kDotPrefetchBytes = 4096;

// The largest magnitude of a group, or a NaN where one is not finite.
inline float LargestMagnitude(F16 low, F16 high) {
  const F16 zero = Broadcast(0);
  const F16 defect = Fma(low, zero, high * zero);  // NaN where either is not finite
  F16 largest = Max(Abs(low), Abs(high));
  float lanes[kLanes];
  Store(lanes, largest);
  float result = lanes[0];
  for (float lane : lanes) result = lane > result ? lane : result;
  Store(lanes, defect);
  return result + SumLanes(lanes);
}

// The integers nearest to x · inverse, as int8 in the low bytes of words.
inline void RoundToCodes(F16 x, F16 inverse, uint32_t* words) {
  F16 scaled = Max(x * inverse, Broadcast(-127));  // −127 for NaN
  scaled = SelectGreater(scaled, Broadcast(127), Broadcast(127), scaled);
  float lanes[kLanes];
  Store(lanes, scaled + Broadcast(0x1.8p23f));
  __builtin_memcpy(words, lanes, sizeof(lanes));
}

inline GroupScale QuantiseGroupOfRow(const float* x, int64_t count, uint32_t (&words)[kGroup]) {
  const F16 low = LoadPartial(x, count, 0);
  const F16 high = count > kLanes ? LoadPartial(x + kLanes, count - kLanes, 0) : Broadcast(0);
  const float largest = LargestMagnitude(low, high);
  const bool tiny = largest < 0x1p-100f;  // kSmallestActivation of ops.h
  const F16 inverse = Broadcast(tiny ? 0.0f : 127.0f / largest);
  RoundToCodes(low, inverse, words);
  RoundToCodes(high, inverse, words + kLanes);
  int32_t sum = 0;
  for (const uint32_t word : words) sum += static_cast<int8_t>(word);
  GroupScale group;
  group.scale = tiny ? 0.0f : largest / 127.0f;
  group.offset = group.scale * static_cast<float>(sum);
  group.start = -128 * sum;
  return group;
}

void QuantiseRow(const RowToQuantise& row) {
  uint32_t* out = row.codes;
  for (int64_t begin = 0, group = 0; begin < row.inputs; begin += kGroup, ++group) {
    uint32_t words[kGroup];
    row.groups[group] = QuantiseGroupOfRow(row.x + begin, row.inputs - begin, words);
    for (int i = 0; i < kGroup; i += 4) {
      const uint32_t quad = (words[i] & 0xFF) | (words[i + 1] & 0xFF) << 8 |
                            (words[i + 2] & 0xFF) << 16 | words[i + 3] << 24;
      if (row.q4) {
        *out++ = quad;
      } else {
        ArrangeBytes(quad, out);
        out += kByteParts;
      }
    }
  }
}

// What differs between the formats, for rows × panels of one group. `codes` is the group's first
// line, `words` the rows' inputs of it.
struct Q8 {
  static constexpr int64_t kBlockBytes = kQ8BlockBytes;
  static constexpr int64_t kCodesAt = kScaleBytes;
  static constexpr int kWordsPerGroup = kGroupQuads * kByteParts;

  template <int kPart, int kRows, int kPanels>
  static inline void AddPart(const uint8_t* const (&codes)[kPanels],
                             const uint32_t* const (&words)[kRows], I16 (&sums)[kRows][kPanels]) {
#pragma GCC unroll 8
    for (int quad = 0; quad < kGroupQuads; ++quad) {
      Codes16 w[kPanels];
      for (int p = 0; p < kPanels; ++p) w[p] = LoadBytes<kPart>(codes[p] + quad * kQuadBytes);
#pragma GCC unroll 12
      for (int r = 0; r < kRows; ++r) {
        const uint32_t word = words[r][quad * kByteParts + kPart];
        for (int p = 0; p < kPanels; ++p) AddByteProducts(w[p], word, sums[r][p]);
      }
    }
  }

  template <int kHalf, int kRows, int kPanels>
  static inline void AddGroup(const uint8_t* const (&blocks)[kPanels],
                              const uint32_t* const (&words)[kRows],
                              const GroupScale* const (&groups)[kRows],
                              F16 (&run)[kRows][kPanels]) {
    const uint8_t* codes[kPanels];
    for (int p = 0; p < kPanels; ++p) {
      codes[p] = blocks[p] + kCodesAt + kHalf * kGroupQuads * kQuadBytes;
    }
    I16 sums[kRows][kPanels];
    for (int r = 0; r < kRows; ++r) {
      for (int p = 0; p < kPanels; ++p) sums[r][p] = BroadcastInt(groups[r]->start);
    }
    AddPart<0>(codes, words, sums);
    if constexpr (kByteParts == 2) AddPart<1>(codes, words, sums);
    for (int p = 0; p < kPanels; ++p) {
      const F16 scale = LoadHalves(blocks[p] + kHalf * kTileOutputs * 2);
      for (int r = 0; r < kRows; ++r) {
        run[r][p] = Fma(ToFloat(sums[r][p]) * scale, Broadcast(groups[r]->scale), run[r][p]);
      }
    }
  }
};

struct Q4 {
  static constexpr int64_t kBlockBytes = kQ4BlockBytes;
  static constexpr int64_t kCodesAt = 2 * kScaleBytes;
  static constexpr int kWordsPerGroup = kGroupQuads;

  template <int kHalf, int kRows, int kPanels>
  static inline void AddGroup(const uint8_t* const (&blocks)[kPanels],
                              const uint32_t* const (&words)[kRows],
                              const GroupScale* const (&groups)[kRows],
                              F16 (&run)[kRows][kPanels]) {
    NibbleSum sums[kRows][kPanels];
    for (int r = 0; r < kRows; ++r) {
      for (int p = 0; p < kPanels; ++p) sums[r][p] = ZeroNibbleSum();
    }
#pragma GCC unroll 8
    for (int quad = 0; quad < kGroupQuads; ++quad) {
      Codes16 w[kPanels];
      for (int p = 0; p < kPanels; ++p) {
        w[p] = LoadNibbles<kHalf>(blocks[p] + kCodesAt + quad * kQuadBytes);
      }
#pragma GCC unroll 12
      for (int r = 0; r < kRows; ++r) {
        for (int p = 0; p < kPanels; ++p) AddNibbleProducts(w[p], words[r][quad], sums[r][p]);
      }
    }
    for (int p = 0; p < kPanels; ++p) {
      const uint8_t* scales = blocks[p] + kHalf * kTileOutputs * 2;
      const F16 scale = LoadHalves(scales);
      const F16 minimum = LoadHalves(scales + kScaleBytes);
      for (int r = 0; r < kRows; ++r) {
        run[r][p] =
            Fma(ToFloat(WidenSum(sums[r][p])) * scale, Broadcast(groups[r]->scale), run[r][p]);
        run[r][p] = Fma(minimum, Broadcast(groups[r]->offset), run[r][p]);
      }
    }
  }
};

// One run of inputs: groups [begin, end) of the rows from `first` on, added to what waits in
// totals.
struct Run {
  const uint8_t* blocks;  // of the first panel, at the run's first group
  int64_t begin;
  int64_t end;
};
// Accumulators of the runs before, of kMaxQuantisedRows rows and the panels of a tile.
struct Totals {
  alignas(64) float sum[kMaxQuantisedRows][kDotPanels][kLanes];
};

template <typename Format, int kRows, int kPanels>
void AdvanceRun(const QuantisedProduct& p, const Run& run, int64_t first, Totals& totals) {
  const uint8_t* blocks[kPanels];
  for (int i = 0; i < kPanels; ++i) blocks[i] = run.blocks + i * p.panel_bytes;
  const uint32_t* words[kRows];
  const GroupScale* groups[kRows];
  F16 sums[kRows][kPanels];
  for (int r = 0; r < kRows; ++r) {
    words[r] = p.codes + (first + r) * p.code_stride + run.begin * Format::kWordsPerGroup;
    groups[r] = p.groups + (first + r) * p.group_stride + run.begin;
    for (int i = 0; i < kPanels; ++i) sums[r][i] = Broadcast(0);
  }
  const auto next_group = [&] {
    for (int r = 0; r < kRows; ++r) {
      words[r] += Format::kWordsPerGroup;
      ++groups[r];
    }
  };
  for (int64_t group = run.begin; group < run.end; group += kBlockGroups) {
    if constexpr (kRows <= kDotPrefetchRows) {
      for (int i = 0; i < kPanels; ++i) {
        for (int64_t byte = 0; byte < Format::kBlockBytes; byte += 64) {
          Prefetch(blocks[i] + kDotPrefetchBytes + byte);
        }
      }
    }
    Format::template AddGroup<0>(blocks, words, groups, sums);
    next_group();
    if (group + 1 < run.end) {
      Format::template AddGroup<1>(blocks, words, groups, sums);
      next_group();
    }
    for (int i = 0; i < kPanels; ++i) blocks[i] += Format::kBlockBytes;
  }
  for (int r = 0; r < kRows; ++r) {
    for (int i = 0; i < kPanels; ++i) {
      float* total = totals.sum[first + r][i];
      Store(total, Load(total) + sums[r][i]);
    }
  }
}

// AdvanceRun with `rows` as its constant.
template <typename Format, int kRows, int kPanels>
void DispatchDotRows(const QuantisedProduct& p, const Run& run, int64_t first, int64_t rows,
                     Totals& totals) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      DispatchDotRows<Format, kRows - 1, kPanels>(p, run, first, rows, totals);
      return;
    }
  }
  AdvanceRun<Format, kRows, kPanels>(p, run, first, totals);
}

// kPanels panels from `weights` on, whose first output is `output`.
template <typename Format, int kPanels>
void MultiplyPanels(const QuantisedProduct& p, const uint8_t* weights, int64_t output) {
  Totals totals;
  for (int64_t r = 0; r < p.rows; ++r) {
    for (int i = 0; i < kPanels; ++i) Store(totals.sum[r][i], Broadcast(0));
  }
  const int64_t groups = (p.inputs + kGroup - 1) / kGroup;
  const int64_t tiles = (p.rows + kDotRows - 1) / kDotRows;
  constexpr int64_t kRunGroups = kRunBlocks * kBlockGroups;
  Run run = {weights, 0, 0};
  for (; run.begin < groups; run.begin = run.end) {
    run.end = run.begin + kRunGroups < groups ? run.begin + kRunGroups : groups;
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t first = p.rows * tile / tiles;
      const int64_t rows = p.rows * (tile + 1) / tiles - first;
      DispatchDotRows<Format, kDotRows, kPanels>(p, run, first, rows, totals);
    }
    run.blocks += kRunBlocks * Format::kBlockBytes;
  }
  for (int64_t r = 0; r < p.rows; ++r) {
    for (int i = 0; i < kPanels; ++i) {
      Finish(p.to, r, output + i * kTileOutputs, Load(totals.sum[r][i]));
    }
  }
}

template <typename Format>
void MultiplyAllPanels(const QuantisedProduct& p) {
  const auto* weights = static_cast<const uint8_t*>(p.weights);
  int64_t output = 0;
  for (; output + (kDotPanels - 1) * kTileOutputs < p.to.outputs;
       output += kDotPanels * kTileOutputs) {
    MultiplyPanels<Format, kDotPanels>(p, weights, output);
    weights += kDotPanels * p.panel_bytes;
  }
  if (output < p.to.outputs) MultiplyPanels<Format, 1>(p, weights, output);
}

void MultiplyQuantised(const QuantisedProduct& product) {
  if (product.q4) {
    MultiplyAllPanels<Q4>(product);
  } else {
    MultiplyAllPanels<Q8>(product);
  }
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_QUANTISED_KERNEL_H_
