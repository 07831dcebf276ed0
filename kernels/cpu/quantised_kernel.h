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

inline int64_t GroupsOf(int64_t inputs) { return (inputs + kGroup - 1) / kGroup; }

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
  const int parts = row.q4 ? 1 : kByteParts;
  uint32_t* out = row.codes;
  GroupScale* group = row.groups;
  for (int64_t begin = 0; begin < row.inputs; begin += kGroup) {
    uint32_t words[kGroup];
    *group = QuantiseGroupOfRow(row.x + begin, row.inputs - begin, words);
    group += row.stride;
    for (int i = 0; i < kGroup; i += 4) {
      uint32_t quad[kByteParts] = {};
      quad[0] = (words[i] & 0xFF) | (words[i + 1] & 0xFF) << 8 | (words[i + 2] & 0xFF) << 16 |
                words[i + 3] << 24;
      if (!row.q4) ArrangeBytes(quad[0], quad);
      for (int part = 0; part < parts; ++part, out += row.stride) *out = quad[part];
    }
  }
}

// Rows of a tile against kPanels panels, at one group: what the formats fill in. Words and groups
// of the tile's rows lie side by side, `stride` apart from one word or group to the next.
struct TileGroup {
  const uint32_t* words;
  const GroupScale* groups;
  int64_t stride;
};
// Sums of the run under way: in memory, as the integer sums take the registers.
template <int kRows, int kPanels>
struct RunSums {
  alignas(64) float sum[kRows][kPanels][kLanes];
};

struct Q8 {
  static constexpr int64_t kBlockBytes = kQ8BlockBytes;
  static constexpr int64_t kWordsPerGroup = kGroupQuads * kByteParts;

  template <int kPart, int kRows, int kPanels>
  static inline void AddPart(const uint8_t* codes, int64_t panel_bytes, const TileGroup& tile,
                             I16 (&sums)[kRows][kPanels]) {
    const uint32_t* words = tile.words + kPart * tile.stride;
#pragma GCC unroll 1
    for (int quad = 0; quad < kGroupQuads; ++quad) {
      Codes16 w[kPanels];
#pragma GCC unroll 4
      for (int p = 0; p < kPanels; ++p) w[p] = LoadBytes<kPart>(codes + p * panel_bytes);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
        for (int p = 0; p < kPanels; ++p) AddByteProducts(w[p], words[r], sums[r][p]);
      }
      words += kByteParts * tile.stride;
      codes += kQuadBytes;
    }
  }

  template <int kHalf, int kRows, int kPanels>
  static inline void AddGroup(const uint8_t* block, int64_t panel_bytes, const TileGroup& tile,
                              RunSums<kRows, kPanels>& run) {
    I16 sums[kRows][kPanels];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int p = 0; p < kPanels; ++p) sums[r][p] = BroadcastInt(tile.groups[r].start);
    }
    const uint8_t* codes = block + kScaleBytes + kHalf * kGroupQuads * kQuadBytes;
    AddPart<0>(codes, panel_bytes, tile, sums);
    if constexpr (kByteParts == 2) AddPart<1>(codes, panel_bytes, tile, sums);
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) {
      const F16 scale = LoadHalves(block + p * panel_bytes + kHalf * kTileOutputs * 2);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        float* sum = run.sum[r][p];
        Store(sum, Fma(ToFloat(sums[r][p]) * scale, Broadcast(tile.groups[r].scale), Load(sum)));
      }
    }
  }
};

struct Q4 {
  static constexpr int64_t kBlockBytes = kQ4BlockBytes;
  static constexpr int64_t kWordsPerGroup = kGroupQuads;

  template <int kHalf, int kRows, int kPanels>
  static inline void AddGroup(const uint8_t* block, int64_t panel_bytes, const TileGroup& tile,
                              RunSums<kRows, kPanels>& run) {
    NibbleSum sums[kRows][kPanels];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int p = 0; p < kPanels; ++p) sums[r][p] = ZeroNibbleSum();
    }
    const uint8_t* codes = block + 2 * kScaleBytes;
    const uint32_t* words = tile.words;
#pragma GCC unroll 1
    for (int quad = 0; quad < kGroupQuads; ++quad) {
      decltype(LoadNibbles<kHalf>(codes)) w[kPanels];
#pragma GCC unroll 4
      for (int p = 0; p < kPanels; ++p) w[p] = LoadNibbles<kHalf>(codes + p * panel_bytes);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
        for (int p = 0; p < kPanels; ++p) AddNibbleProducts(w[p], words[r], sums[r][p]);
      }
      words += tile.stride;
      codes += kQuadBytes;
    }
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) {
      const uint8_t* scales = block + p * panel_bytes + kHalf * kTileOutputs * 2;
      const F16 scale = LoadHalves(scales);
      const F16 minimum = LoadHalves(scales + kScaleBytes);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const GroupScale& group = tile.groups[r];
        float* sum = run.sum[r][p];
        const F16 next =
            Fma(ToFloat(WidenSum(sums[r][p])) * scale, Broadcast(group.scale), Load(sum));
        Store(sum, Fma(minimum, Broadcast(group.offset), next));
      }
    }
  }
};

// One run of inputs: groups [begin, end).
struct Run {
  const uint8_t* blocks;  // of the first panel, at the run's first group
  int64_t begin;
  int64_t end;
};
// Accumulators of the runs before, of all rows and the panels of a tile.
struct Totals {
  alignas(64) float sum[kMaxQuantisedRows][kDotPanels][kLanes];
};

// Adds a run to the totals of the kRows rows of the tile that starts at row `first`.
template <typename Format, int kRows, int kPanels>
__attribute__((noinline)) void AdvanceTileByRun(const QuantisedProduct& p, const Run& run,
                                                int64_t first, Totals& totals) {
  const int64_t groups_before = GroupsOf(p.inputs) * first + run.begin * p.tile_rows;
  TileGroup tile = {p.codes + groups_before * Format::kWordsPerGroup, p.groups + groups_before,
                    p.tile_rows};
  RunSums<kRows, kPanels> sums = {};
  const auto next_group = [&tile] {
    tile.words += Format::kWordsPerGroup * tile.stride;
    tile.groups += tile.stride;
  };
  const uint8_t* block = run.blocks;
  for (int64_t group = run.begin; group < run.end; group += kBlockGroups) {
    if constexpr (kRows <= kDotPrefetchRows) {
      for (int i = 0; i < kPanels; ++i) {
        const uint8_t* ahead = block + i * p.panel_bytes + kDotPrefetchBytes;
        for (int64_t byte = 0; byte < Format::kBlockBytes; byte += 64) Prefetch(ahead + byte);
      }
    }
    Format::template AddGroup<0>(block, p.panel_bytes, tile, sums);
    next_group();
    if (group + 1 < run.end) {
      Format::template AddGroup<1>(block, p.panel_bytes, tile, sums);
      next_group();
    }
    block += Format::kBlockBytes;
  }
  for (int r = 0; r < kRows; ++r) {
    for (int i = 0; i < kPanels; ++i) {
      float* total = totals.sum[first + r][i];
      Store(total, Load(total) + Load(sums.sum[r][i]));
    }
  }
}

// AdvanceTileByRun with `rows` as its constant.
template <typename Format, int kRows, int kPanels>
void DispatchTileRows(const QuantisedProduct& p, const Run& run, int64_t first, int64_t rows,
                      Totals& totals) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      DispatchTileRows<Format, kRows - 1, kPanels>(p, run, first, rows, totals);
      return;
    }
  }
  AdvanceTileByRun<Format, kRows, kPanels>(p, run, first, totals);
}

// kPanels panels from `weights` on, whose first output is `output`.
template <typename Format, int kPanels>
void MultiplyPanels(const QuantisedProduct& p, const uint8_t* weights, int64_t output) {
  Totals totals;
  for (int64_t r = 0; r < p.rows; ++r) {
    for (int i = 0; i < kPanels; ++i) Store(totals.sum[r][i], Broadcast(0));
  }
  const int64_t groups = GroupsOf(p.inputs);
  constexpr int64_t kRunGroups = kRunBlocks * kBlockGroups;
  Run run = {weights, 0, 0};
  for (; run.begin < groups; run.begin = run.end) {
    run.end = run.begin + kRunGroups < groups ? run.begin + kRunGroups : groups;
    for (int64_t first = 0; first < p.rows; first += p.tile_rows) {
      const int64_t rows = p.rows - first < p.tile_rows ? p.rows - first : p.tile_rows;
      DispatchTileRows<Format, kDotRows, kPanels>(p, run, first, rows, totals);
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
