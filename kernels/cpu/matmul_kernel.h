// Matrix product of rows against one panel (pack.h). Include after a vec_*.h and vec_math.h.
// Internal linkage.
//
// Tiles of rows × groups of 16 outputs stay in registers while they take a block of inputs. With
// more rows than a tile has, a block is short enough for its weights to stay in the nearest cache
// from tile to tile; the accumulators wait in memory meanwhile, which is exact.
//
// Each output has one accumulator, which takes its products in ascending input by FMA within a run
// of kRun inputs; runs are added in ascending order. So neither tiles and blocks nor the
// instruction set show in the result.
#ifndef SSMD_KERNELS_CPU_MATMUL_KERNEL_H_
#define SSMD_KERNELS_CPU_MATMUL_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/product_output.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int kPanel = 64;  // kPanelOutputs of pack.h
// Inputs of a block that several tiles share: 32 KB of f32 weights. Divides kRun.
constexpr int64_t kSharedBlock = 128;
// Rows whose accumulators wait together: 12 KB of them, beside the weights.
constexpr int64_t kRowBlock = 8 * kMaxTileRows;
// Tiles this low outrun memory, and fetch their weights this far ahead.
constexpr int kPrefetchRows = 5;
constexpr int64_t kPrefetchBytes = 4096;

// Rows [row, row + rows) of the product and what has been summed for them: `run` is the
// accumulators of the run under way, `sums` the runs before it.
struct RowBlock {
  int64_t row;
  int64_t rows;
  alignas(64) float run[kRowBlock][kPanel];
  alignas(64) float sums[kRowBlock][kPanel];
};

// Inputs [begin, end) of the panel's weights, within one run. `lines` is input `begin`.
template <typename Element>
struct WeightBlock {
  const Element* lines;
  int64_t begin;
  int64_t end;
};

// How 16 weights of one input are loaded: group kGroup (0 or 1 of an even one) of a line.
template <int kGroup>
inline F16 LoadGroup(const float* line) {
  return Load(line + kGroup * kLanes);
}
template <int kGroup>
inline F16 LoadGroup(const uint16_t* line) {
  return LoadBf16<(kGroup & 1) != 0>(line + kGroup / 2 * 32);
}

// kGroups groups from kFirst on.
template <int kFirst, int kGroups, typename Element>
inline void LoadGroups(const Element* line, F16 (&w)[kGroups]) {
  w[0] = LoadGroup<kFirst>(line);
  if constexpr (kGroups > 1) w[1] = LoadGroup<kFirst + 1>(line);
  if constexpr (kGroups > 2) w[2] = LoadGroup<kFirst + 2>(line);
  if constexpr (kGroups > 3) w[3] = LoadGroup<kFirst + 3>(line);
}

// The inner loop: adds a block's products into acc. `line` is of the block's first input.
template <int kRows, int kFirst, int kGroups, typename Element>
inline void Accumulate(const float* const (&x)[kRows], const Element* line, int64_t width,
                       int64_t begin, int64_t end, F16 (&acc)[kRows][kGroups]) {
  for (int64_t k = begin; k < end; ++k, line += width) {
    if constexpr (kRows <= kPrefetchRows) {
      const char* ahead = reinterpret_cast<const char*>(line) + kPrefetchBytes;
      constexpr int kBytes = kGroups * kLanes * static_cast<int>(sizeof(Element));
      for (int byte = 0; byte < kBytes; byte += 64) Prefetch(ahead + byte);
    }
    F16 w[kGroups];
    LoadGroups<kFirst, kGroups>(line, w);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const F16 input = Broadcast(x[r][k]);
#pragma GCC unroll 4
      for (int g = 0; g < kGroups; ++g) acc[r][g] = Fma(input, w[g], acc[r][g]);
    }
  }
}

// Advances rows [first, first + kRows) of the row block, kGroups groups of outputs from `group` on
// (whose parity is kFirst), by a block of inputs.
template <int kRows, int kFirst, int kGroups, typename Element>
void AdvanceTile(const PanelProduct& p, const WeightBlock<Element>& weights, int64_t first,
                 int64_t group, RowBlock& block) {
  const float* x[kRows];
  for (int r = 0; r < kRows; ++r) x[r] = p.x + (block.row + first + r) * p.x_stride;
  const int64_t column = group * kLanes;
  const bool starts_run = weights.begin % kRun == 0;
  const bool ends_run = weights.end % kRun == 0 || weights.end == p.inputs;

  F16 acc[kRows][kGroups];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      acc[r][g] = starts_run ? Broadcast(0) : Load(block.run[first + r] + column + g * kLanes);
    }
  }
  Accumulate<kRows, kFirst, kGroups>(x, weights.lines + column - kFirst * kLanes, p.width,
                                     weights.begin, weights.end, acc);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      float* sum = block.sums[first + r] + column + g * kLanes;
      if (ends_run) {
        Store(sum, Load(sum) + acc[r][g]);
      } else {
        Store(block.run[first + r] + column + g * kLanes, acc[r][g]);
      }
    }
  }
}

// All groups of the panel for kRows rows.
template <int kRows, typename Element>
void AdvanceRows(const PanelProduct& p, const WeightBlock<Element>& weights, int64_t first,
                 RowBlock& block) {
  constexpr int kGroups = TileGroups(kRows);
  const int64_t groups = p.width / kLanes;
  int64_t group = 0;
  for (; group + kGroups <= groups && kGroups > 1; group += kGroups) {
    AdvanceTile<kRows, 0, kGroups>(p, weights, first, group, block);
  }
  for (; group < groups; ++group) {
    if (group % 2 == 0) {
      AdvanceTile<kRows, 0, 1>(p, weights, first, group, block);
    } else {
      AdvanceTile<kRows, 1, 1>(p, weights, first, group, block);
    }
  }
}

// AdvanceRows with `rows` as its constant.
template <int kRows, typename Element>
void DispatchRows(const PanelProduct& p, const WeightBlock<Element>& weights, int64_t first,
                  int64_t rows, RowBlock& block) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      DispatchRows<kRows - 1>(p, weights, first, rows, block);
      return;
    }
  }
  AdvanceRows<kRows>(p, weights, first, block);
}

// All rows of the block, in tiles of nearly equal height: 7 rows are better as 4 + 3 than as 6 + 1.
template <typename Element>
void AdvanceBlock(const PanelProduct& p, const WeightBlock<Element>& weights, RowBlock& block) {
  const int64_t tiles = (block.rows + kMaxTileRows - 1) / kMaxTileRows;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t first = block.rows * tile / tiles;
    const int64_t rows = block.rows * (tile + 1) / tiles - first;
    DispatchRows<kMaxTileRows>(p, weights, first, rows, block);
  }
}

// bf16 weights of a shared block are widened once, not by every tile.
void AdvanceWidened(const PanelProduct& p, const WeightBlock<uint16_t>& weights, RowBlock& block) {
  alignas(64) float wide[kSharedBlock * kPanel];
  const int64_t lines = (weights.end - weights.begin) * p.width;
  for (int64_t i = 0; i < lines; i += 2 * kLanes) {
    Store(wide + i, LoadBf16<false>(weights.lines + i));
    Store(wide + i + kLanes, LoadBf16<true>(weights.lines + i));
  }
  AdvanceBlock(p, WeightBlock<float>{wide, weights.begin, weights.end}, block);
}

template <typename Element>
void MultiplyBlock(const PanelProduct& p, RowBlock& block) {
  for (int64_t r = 0; r < block.rows; ++r) {
    for (int c = 0; c < kPanel; c += kLanes) Store(block.sums[r] + c, Broadcast(0));
  }
  const bool shared = block.rows > kMaxTileRows;
  const int64_t step = shared ? kSharedBlock : kRun;
  for (int64_t begin = 0; begin < p.inputs; begin += step) {
    const int64_t end = begin + step < p.inputs ? begin + step : p.inputs;
    const auto* lines = static_cast<const Element*>(p.weights) + begin * p.width;
    const WeightBlock<Element> weights = {lines, begin, end};
    if constexpr (sizeof(Element) == sizeof(uint16_t)) {
      if (shared) {
        AdvanceWidened(p, weights, block);
        continue;
      }
    }
    AdvanceBlock(p, weights, block);
  }
  for (int64_t r = 0; r < block.rows; ++r) {
    for (int64_t c = 0; c < p.to.outputs; c += kLanes) {
      Finish(p.to, block.row + r, c, Load(block.sums[r] + c));
    }
  }
}

void MultiplyPanel(const PanelProduct& p) {
  RowBlock block;
  const int64_t rows = p.row_end - p.row_begin;
  const int64_t blocks = (rows + kRowBlock - 1) / kRowBlock;
  for (int64_t i = 0; i < blocks; ++i) {
    block.row = p.row_begin + rows * i / blocks;
    block.rows = p.row_begin + rows * (i + 1) / blocks - block.row;
    if (p.bf16) {
      MultiplyBlock<uint16_t>(p, block);
    } else {
      MultiplyBlock<float>(p, block);
    }
  }
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_MATMUL_KERNEL_H_
