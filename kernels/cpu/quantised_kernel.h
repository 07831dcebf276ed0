// Matrix products with quantised weights: rounding a row of inputs to int8, and rows against panels
// of 16 outputs (quantised_layout.h). Include after a vec_*.h, vec_math.h and a dot_*.h. Internal
// linkage.
//
// A group's product is an exact integer. One float accumulator an output takes the groups in
// ascending order within a run, and runs are added in ascending order, so tiles of rows and panels
// do not show in the result. A run's weights of one panel (8.5 KB in q8) stay in the nearest cache
// from tile to tile, while the accumulators of the runs before it wait in memory; the next run is
// fetched meanwhile.
//
// A tile's integer sums fill the registers (dot_*.h says how many rows and panels those are). Its
// codes are widened as they are loaded: once for all tiles would save a twelfth of the operations
// and cost as much in loads and stores.
#ifndef SSMD_KERNELS_CPU_QUANTISED_KERNEL_H_
#define SSMD_KERNELS_CPU_QUANTISED_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/product_output.h"
#include "kernels/cpu/quantised_layout.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int kGroup = 32;  // kGroupInputs of quantise.h
constexpr int64_t kRunBlocks = kRun / kBlockInputs;
constexpr int64_t kRunGroups = kRunBlocks * kBlockGroups;

inline int64_t GroupsOf(int64_t inputs) { return (inputs + kGroup - 1) / kGroup; }

// The largest magnitude of a group, or a NaN where one is not finite.
inline float LargestMagnitude(F16 low, F16 high) {
  low = Abs(low);
  high = Abs(high);
  const F16 infinity = Broadcast(__builtin_inff());
  const bool finite = (MaskGreater(infinity, low) & MaskGreater(infinity, high)) == 0xFFFF;
  float lanes[kLanes];
  Store(lanes, Max(low, high));
  float largest = lanes[0];
#pragma GCC unroll 16
  for (int i = 1; i < kLanes; ++i) largest = lanes[i] > largest ? lanes[i] : largest;
  return finite ? largest : __builtin_nanf("");
}

// 1.5 · 2^23, whose sum with a small integer has that integer's bits as its lowest 16.
constexpr float kRounder = 0x1.8p23f;
constexpr uint32_t kRounderBits = 0x4B400000;

// The integers nearest to x · inverse, or −127 for NaN, on top of kRounderBits.
inline void RoundToCodes(F16 x, F16 inverse, uint32_t* codes) {
  float lanes[kLanes];
  Store(lanes, Max(x * inverse, Broadcast(-127)) + Broadcast(kRounder));
  __builtin_memcpy(codes, lanes, sizeof(lanes));
}

inline GroupScale QuantiseGroupOfRow(const float* x, int64_t count, uint32_t (&codes)[kGroup]) {
  const F16 low = LoadPartial(x, count, 0);
  const F16 high = count > kLanes ? LoadPartial(x + kLanes, count - kLanes, 0) : Broadcast(0);
  const float largest = LargestMagnitude(low, high);
  const bool tiny = largest < 0x1p-100f;  // kSmallestActivation of ops.h
  const F16 inverse = Broadcast(tiny ? 0.0f : 127.0f / largest);
  RoundToCodes(low, inverse, codes);
  RoundToCodes(high, inverse, codes + kLanes);
  uint32_t total = 0;
  for (const uint32_t code : codes) total += code - kRounderBits;
  const auto sum = static_cast<int32_t>(total);
  GroupScale group;
  group.scale = tiny ? 0.0f : largest / 127.0f;
  group.offset = group.scale * static_cast<float>(sum);
  group.start = -128 * sum;
  return group;
}

// The words of a group's quads: the four codes of each as bytes, or in two parts as int16.
inline void JoinQuads(const uint32_t (&codes)[kGroup], uint32_t (&words)[kGroupQuads]) {
  const uint32_t* c = codes;
  for (int q = 0; q < kGroupQuads; ++q, ++c) {
    words[q] = (c[0] & 0xFF) | (c[8] & 0xFF) << 8 | (c[16] & 0xFF) << 16 | c[24] << 24;
  }
}
inline void JoinQuads(const uint32_t (&codes)[kGroup], uint32_t (&words)[2 * kGroupQuads]) {
  for (int i = 0; i < 2 * kGroupQuads; ++i) words[i] = (codes[i] & 0xFFFF) | codes[i + 16] << 16;
}

template <int kParts>
void QuantiseRowInParts(const RowToQuantise& row) {
  uint32_t* out = row.codes;
  GroupScale* group = row.groups;
  for (int64_t begin = 0; begin < row.inputs; begin += kGroup, group += row.stride) {
    uint32_t codes[kGroup];
    *group = QuantiseGroupOfRow(row.x + begin, row.inputs - begin, codes);
    uint32_t words[kParts * kGroupQuads];
    JoinQuads(codes, words);
#pragma GCC unroll 1  // or each word would be extracted from a register
    for (int i = 0; i < kParts * kGroupQuads; ++i, out += row.stride) *out = words[i];
  }
}

void QuantiseRow(const RowToQuantise& row) {
  if (row.q4) {
    QuantiseRowInParts<1>(row);
  } else {
    QuantiseRowInParts<kByteParts>(row);
  }
}

// A format: how a group's codes come out of its block (half kHalf of one), and how their products
// are summed. A quad's inputs come in kParts words, each of which meets codes of its own.
struct Q8 {
  using Codes = Codes16;
  using Sum = I16;
  static constexpr int64_t kBlockBytes = kQ8BlockBytes;
  static constexpr int kParts = kByteParts;

  template <int kHalf, int kPart>
  static inline Codes LoadCodes(const uint8_t* block, int quad) {
    return LoadBytes<kPart>(block + kScaleBytes + (kHalf * kGroupQuads + quad) * kQuadBytes);
  }
  static inline Sum Start(const GroupScale& row) { return BroadcastInt(row.start); }
  static inline void Add(const Codes& w, uint32_t word, Sum& sum) { AddByteProducts(w, word, sum); }

  struct Scales {
    F16 scale;
  };
  static inline Scales LoadScales(const uint8_t* scales) { return {LoadHalves(scales)}; }
  static inline F16 Finish(const Sum& sum, const Scales& w, const GroupScale& row, F16 run) {
    return Fma(ToFloat(sum) * w.scale, Broadcast(row.scale), run);
  }
};

struct Q4 {
  using Codes = decltype(LoadNibbles<0>(nullptr));
  using Sum = NibbleSum;
  static constexpr int64_t kBlockBytes = kQ4BlockBytes;
  static constexpr int kParts = 1;

  template <int kHalf, int kPart>
  static inline Codes LoadCodes(const uint8_t* block, int quad) {
    return LoadNibbles<kHalf>(block + 2 * kScaleBytes + quad * kQuadBytes);
  }
  static inline Sum Start(const GroupScale&) { return ZeroNibbleSum(); }
  static inline void Add(const Codes& w, uint32_t word, Sum& sum) {
    AddNibbleProducts(w, word, sum);
  }

  struct Scales {
    F16 scale, minimum;
  };
  static inline Scales LoadScales(const uint8_t* scales) {
    return {LoadHalves(scales), LoadHalves(scales + kScaleBytes)};
  }
  static inline F16 Finish(const Sum& sum, const Scales& w, const GroupScale& row, F16 run) {
    run = Fma(ToFloat(WidenSum(sum)) * w.scale, Broadcast(row.scale), run);
    return Fma(w.minimum, Broadcast(row.offset), run);
  }
};

// Part kPart of a quad: its codes meet a word of each row.
template <typename Format, int kHalf, int kPart, int kRows, int kPanels>
inline void AddPart(const uint8_t* block, int64_t panel_bytes, int quad, const uint32_t* words,
                    typename Format::Sum (&sums)[kRows][kPanels]) {
  typename Format::Codes codes[kPanels];
#pragma GCC unroll 4
  for (int p = 0; p < kPanels; ++p) {
    codes[p] = Format::template LoadCodes<kHalf, kPart>(block + p * panel_bytes, quad);
  }
  words += (kPart * kGroupQuads + quad) * kRows;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) Format::Add(codes[p], words[r], sums[r][p]);
  }
}

// All quads of a group: both parts of each at once, but in the highest tile, whose sums leave no
// registers for that.
template <typename Format, int kHalf, int kRows, int kPanels>
inline void AddQuads(const uint8_t* block, int64_t panel_bytes, const uint32_t* words,
                     typename Format::Sum (&sums)[kRows][kPanels]) {
  constexpr bool kTwice = Format::kParts == 2 && kRows == kDotRows;
  for (int quad = 0; quad < kGroupQuads; ++quad) {
    AddPart<Format, kHalf, 0>(block, panel_bytes, quad, words, sums);
    if constexpr (Format::kParts == 2 && !kTwice) {
      AddPart<Format, kHalf, 1>(block, panel_bytes, quad, words, sums);
    }
  }
  for (int quad = 0; kTwice && quad < kGroupQuads; ++quad) {
    AddPart<Format, kHalf, 1>(block, panel_bytes, quad, words, sums);
  }
}

// Where a tile stands in its rows' inputs and in its panels.
struct TilePlace {
  const uint32_t* words;     // of the group
  const GroupScale* groups;  // of the tile's rows
  const uint8_t* block;
  int64_t panel_bytes;
  const uint8_t* ahead;  // what the tile fetches of the run after this one, a share each group
  int64_t ahead_bytes;
};

// A group's products with the kRows rows of a tile, into the sums of the run under way: those wait
// in memory, as the integer sums take the registers.
template <typename Format, int kHalf, int kRows, int kPanels>
inline void AddGroup(TilePlace& at, float (&run)[kRows][kPanels][kLanes]) {
  for (int p = 0; p < kPanels; ++p) {
    for (int64_t byte = 0; byte < at.ahead_bytes; byte += 64) {
      Prefetch(at.ahead + p * at.panel_bytes + byte);
    }
  }
  at.ahead += Format::kBlockBytes / kBlockGroups;
  typename Format::Sum sums[kRows][kPanels];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) sums[r][p] = Format::Start(at.groups[r]);
  }
  AddQuads<Format, kHalf>(at.block, at.panel_bytes, at.words, sums);
  at.words += kGroupQuads * Format::kParts * kRows;
#pragma GCC unroll 4
  for (int p = 0; p < kPanels; ++p) {
    const auto scales =
        Format::LoadScales(at.block + p * at.panel_bytes + kHalf * kTileOutputs * 2);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      Store(run[r][p], Format::Finish(sums[r][p], scales, at.groups[r], Load(run[r][p])));
    }
  }
  at.groups += kRows;
}

// Accumulators of the runs before, of all rows and the panels of a tile.
struct Totals {
  alignas(64) float sum[kMaxQuantisedRows][kDotPanels][kLanes];
};

// Adds `groups` groups, of one run, to the totals of the kRows rows from `first` on.
template <typename Format, int kRows, int kPanels>
__attribute__((noinline)) void AdvanceTile(TilePlace at, int64_t groups, int64_t first,
                                           Totals& totals) {
  alignas(64) float run[kRows][kPanels][kLanes];
  for (int r = 0; r < kRows; ++r) {
    for (int p = 0; p < kPanels; ++p) Store(run[r][p], Broadcast(0));
  }
  for (int64_t group = 0; group < groups; group += kBlockGroups) {
    AddGroup<Format, 0>(at, run);
    if (group + 1 < groups) AddGroup<Format, 1>(at, run);
    at.block += Format::kBlockBytes;
  }
  for (int r = 0; r < kRows; ++r) {
    for (int p = 0; p < kPanels; ++p) {
      float* total = totals.sum[first + r][p];
      Store(total, Load(total) + Load(run[r][p]));
    }
  }
}

// AdvanceTile with `rows` as its constant.
template <typename Format, int kRows, int kPanels>
void DispatchRows(const TilePlace& at, int64_t groups, int64_t first, int64_t rows,
                  Totals& totals) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      DispatchRows<Format, kRows - 1, kPanels>(at, groups, first, rows, totals);
      return;
    }
  }
  AdvanceTile<Format, kRows, kPanels>(at, groups, first, totals);
}

// Groups [begin, end) of kPanels panels, one run, for all rows; `blocks` is the first group's. The
// tiles share out the fetching of what lies a run further on, here or in the panels that are next.
template <typename Format, int kPanels>
void AdvanceRows(const QuantisedProduct& p, const uint8_t* blocks, int64_t begin, int64_t end,
                 Totals& totals) {
  constexpr int64_t kGroupLines = (Format::kBlockBytes / kBlockGroups + 63) / 64;
  const int64_t tiles = (p.rows + p.tile_rows - 1) / p.tile_rows;
  TilePlace at = {};
  at.block = blocks;
  at.panel_bytes = p.panel_bytes;
  at.ahead = blocks + kRunBlocks * Format::kBlockBytes;
  if (end == GroupsOf(p.inputs)) at.ahead += (kPanels - 1) * p.panel_bytes;
  at.ahead_bytes = (kGroupLines + tiles - 1) / tiles * 64;
  for (int64_t first = 0; first < p.rows; first += p.tile_rows) {
    const int64_t rows = p.rows - first < p.tile_rows ? p.rows - first : p.tile_rows;
    const int64_t groups_before = GroupsOf(p.inputs) * first + begin * rows;
    at.words = p.codes + groups_before * kGroupQuads * Format::kParts;
    at.groups = p.groups + groups_before;
    DispatchRows<Format, kDotRows, kPanels>(at, end - begin, first, rows, totals);
    at.ahead += at.ahead_bytes;
  }
}

// kPanels panels from `weights` on, whose first output is `output`.
template <typename Format, int kPanels>
void MultiplyPanels(const QuantisedProduct& p, const uint8_t* weights, int64_t output) {
  Totals totals;
  for (int64_t r = 0; r < p.rows; ++r) {
    for (int i = 0; i < kPanels; ++i) Store(totals.sum[r][i], Broadcast(0));
  }
  const int64_t groups = GroupsOf(p.inputs);
  for (int64_t begin = 0; begin < groups; begin += kRunGroups) {
    const int64_t end = begin + kRunGroups < groups ? begin + kRunGroups : groups;
    AdvanceRows<Format, kPanels>(p, weights, begin, end, totals);
    weights += kRunBlocks * Format::kBlockBytes;
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
