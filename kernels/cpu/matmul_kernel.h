// Matrix products of rows against panels of 16 outputs (pack.h). Include after a vec_*.h and
// vec_math.h. Internal linkage.
//
// A tile of rows × panels keeps its accumulators in registers while it takes a block of inputs. A
// block's weights are short enough to stay in the nearest cache from tile to tile, and each tile
// fetches its part of the next block's meanwhile, so that reading the weights and working with them
// overlap whatever the number of rows is. Between blocks the accumulators wait in memory, which is
// exact.
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

constexpr int kPanel = 16;  // kPanelOutputs of pack.h
// Inputs of a block: 8 KB of f32 weights a panel. Even, and divides kRun.
constexpr int64_t kBlockOfInputs = 128;
// Rows whose accumulators wait together, and whose inputs stay in the second cache: whole tiles.
constexpr int64_t kRowBlock = 96 / kTileRows * kTileRows;
// How far ahead a tile alone fetches its weights.
constexpr int64_t kPrefetchBytes = 4096;
// From this many tiles on, bf16 weights of a block are widened once, not by every tile.
constexpr int64_t kWidenTiles = 4;

// Rows [row, row + rows) of the product and what has been summed for them: `run` is the
// accumulators of the run under way, `sums` the runs before it.
template <int kPanels>
struct RowBlock {
  int64_t row;
  int64_t rows;
  alignas(64) float run[kRowBlock][kPanels][kPanel];
  alignas(64) float sums[kRowBlock][kPanels][kPanel];
};

// Inputs [begin, end) of some panels, within one run.
template <typename Element>
struct WeightBlock {
  const Element* first;  // of the first panel, at input `begin`
  int64_t panel_stride;  // elements from one panel to the next
  int64_t begin;
  int64_t end;
};

// What a tile fetches ahead in each of its steps, of every panel: `step` bytes further each time.
struct PrefetchPlan {
  const char* from;
  int64_t panel_stride;  // bytes
  int64_t step;
};

// Adds the products of input `k` to acc, with the weights w of kPanels panels.
template <int kRows, int kPanels>
inline void AddProducts(const float* const (&x)[kRows], int64_t k, const F16 (&w)[kPanels],
                        F16 (&acc)[kRows][kPanels]) {
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    const F16 input = Broadcast(x[r][k]);
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) acc[r][p] = Fma(input, w[p], acc[r][p]);
  }
}

// The inner loops: add a block's products to acc.
template <int kRows, int kPanels>
inline void Accumulate(const float* const (&x)[kRows], const WeightBlock<float>& weights,
                       PrefetchPlan plan, F16 (&acc)[kRows][kPanels]) {
  const float* line = weights.first;
  for (int64_t k = weights.begin; k < weights.end; ++k, line += kPanel) {
    F16 w[kPanels];
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) {
      w[p] = Load(line + p * weights.panel_stride);
      Prefetch(plan.from + p * plan.panel_stride);
    }
    plan.from += plan.step;
    AddProducts(x, k, w, acc);
  }
}

// In bf16 a line is of two inputs.
template <int kRows, int kPanels>
inline void Accumulate(const float* const (&x)[kRows], const WeightBlock<uint16_t>& weights,
                       PrefetchPlan plan, F16 (&acc)[kRows][kPanels]) {
  const uint16_t* line = weights.first;
  int64_t k = weights.begin;
  F16 w[kPanels];
  for (; k + 1 < weights.end; k += 2, line += 2 * kPanel) {
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) {
      w[p] = LoadBf16<false>(line + p * weights.panel_stride);
      Prefetch(plan.from + p * plan.panel_stride);
    }
    AddProducts(x, k, w, acc);
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) w[p] = LoadBf16<true>(line + p * weights.panel_stride);
    AddProducts(x, k + 1, w, acc);
    plan.from += plan.step;
  }
  if (k < weights.end) {
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) w[p] = LoadBf16<false>(line + p * weights.panel_stride);
    AddProducts(x, k, w, acc);
  }
}

// Advances rows [first, first + kRows) of the row block by a block of inputs.
template <int kRows, int kPanels, typename Product, typename Element>
void AdvanceTile(const Product& p, const WeightBlock<Element>& weights, PrefetchPlan plan,
                 int64_t first, RowBlock<kPanels>& block) {
  decltype(p.x) x[kRows];
  for (int r = 0; r < kRows; ++r) x[r] = p.x + (block.row + first + r) * p.x_stride;
  const bool starts_run = weights.begin % kRun == 0;
  const bool ends_run = weights.end % kRun == 0 || weights.end == p.inputs;

  F16 acc[kRows][kPanels];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int i = 0; i < kPanels; ++i) {
      acc[r][i] = starts_run ? Broadcast(0) : Load(block.run[first + r][i]);
    }
  }
  Accumulate(x, weights, plan, acc);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int i = 0; i < kPanels; ++i) {
      float* sum = block.sums[first + r][i];
      if (ends_run) {
        Store(sum, Load(sum) + acc[r][i]);
      } else {
        Store(block.run[first + r][i], acc[r][i]);
      }
    }
  }
}

// AdvanceTile with `rows` as its constant.
template <int kRows, int kPanels, typename Product, typename Element>
void DispatchRows(const Product& p, const WeightBlock<Element>& weights, PrefetchPlan plan,
                  int64_t first, int64_t rows, RowBlock<kPanels>& block) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      DispatchRows<kRows - 1>(p, weights, plan, first, rows, block);
      return;
    }
  }
  AdvanceTile<kRows>(p, weights, plan, first, block);
}

// All rows of the block, in tiles of nearly equal height: 7 rows are better as 4 + 3 than as 6 + 1.
// `source` is where the weights lie in the matrix.
template <int kMaxRows, int kPanels, typename Product, typename Element, typename Source>
void AdvanceTiles(const Product& p, const WeightBlock<Element>& weights, int64_t tiles,
                  const Source* source, RowBlock<kPanels>& block) {
  const int64_t source_bytes = kBlockOfInputs * kPanel * static_cast<int64_t>(sizeof(Source));
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t first = block.rows * tile / tiles;
    const int64_t rows = block.rows * (tile + 1) / tiles - first;
    PrefetchPlan plan = {reinterpret_cast<const char*>(source), p.panel_bytes,
                         source_bytes / tiles};
    if (tiles == 1) {
      plan.from += kPrefetchBytes;
    } else {
      plan.from += source_bytes + tile * plan.step;
    }
    plan.step /= kBlockOfInputs * kPanel * static_cast<int64_t>(sizeof(Element)) / 64;
    DispatchRows<kMaxRows>(p, weights, plan, first, rows, block);
  }
}

template <int kMaxRows, int kPanels>
void AdvanceBlock(const PlainProduct& p, const WeightBlock<float>& weights,
                  RowBlock<kPanels>& block) {
  const int64_t tiles = (block.rows + kMaxRows - 1) / kMaxRows;
  AdvanceTiles<kMaxRows>(p, weights, tiles, weights.first, block);
}

template <int kMaxRows, int kPanels>
void AdvanceBlock(const PlainProduct& p, const WeightBlock<uint16_t>& weights,
                  RowBlock<kPanels>& block) {
  const int64_t tiles = (block.rows + kMaxRows - 1) / kMaxRows;
  if (tiles < kWidenTiles) {
    AdvanceTiles<kMaxRows>(p, weights, tiles, weights.first, block);
    return;
  }
  alignas(64) float wide[kPanels][kBlockOfInputs][kPanel];
  for (int i = 0; i < kPanels; ++i) {
    const uint16_t* line = weights.first + i * weights.panel_stride;
    for (int64_t k = 0; k < weights.end - weights.begin; k += 2, line += 2 * kPanel) {
      Store(wide[i][k], LoadBf16<false>(line));
      Store(wide[i][k + 1], LoadBf16<true>(line));
    }
  }
  const WeightBlock<float> widened = {wide[0][0], kBlockOfInputs * kPanel, weights.begin,
                                      weights.end};
  AdvanceTiles<kMaxRows>(p, widened, tiles, weights.first, block);
}

// kPanels panels from `weights` on, whose first output is `output`, in tiles of up to kMaxRows.
template <int kMaxRows, int kPanels, typename Product, typename Element>
void MultiplyPanelGroup(const Product& p, const Element* weights, int64_t output,
                        RowBlock<kPanels>& block) {
  const int64_t panel_stride = p.panel_bytes / static_cast<int64_t>(sizeof(Element));
  for (int64_t r = 0; r < block.rows; ++r) {
    for (int i = 0; i < kPanels; ++i) Store(block.sums[r][i], Broadcast(0));
  }
  for (int64_t begin = 0; begin < p.inputs; begin += kBlockOfInputs) {
    const int64_t end = begin + kBlockOfInputs < p.inputs ? begin + kBlockOfInputs : p.inputs;
    AdvanceBlock<kMaxRows>(
        p, WeightBlock<Element>{weights + begin * kPanel, panel_stride, begin, end}, block);
  }
  for (int64_t r = 0; r < block.rows; ++r) {
    for (int i = 0; i < kPanels; ++i) {
      Finish(p.to, block.row + r, output + i * kPanel, Load(block.sums[r][i]));
    }
  }
}

// All panels for rows [row, row + rows), kPanels at a time.
template <int kMaxRows, int kPanels, typename Element, typename Product>
void MultiplyRows(const Product& p, int64_t row, int64_t rows) {
  RowBlock<kPanels> block;
  block.row = row;
  block.rows = rows;
  const auto* weights = static_cast<const Element*>(p.weights);
  const int64_t panel_stride = p.panel_bytes / static_cast<int64_t>(sizeof(Element));
  int64_t output = 0;
  for (; output + (kPanels - 1) * kPanel < p.to.outputs; output += kPanels * kPanel) {
    MultiplyPanelGroup<kMaxRows, kPanels>(p, weights, output, block);
    weights += kPanels * panel_stride;
  }
  if constexpr (kPanels > 1) {
    RowBlock<1> single;
    single.row = row;
    single.rows = rows;
    for (; output < p.to.outputs; output += kPanel, weights += panel_stride) {
      MultiplyPanelGroup<kMaxRows, 1>(p, weights, output, single);
    }
  }
}

template <typename Element>
void MultiplyAllRows(const PlainProduct& p) {
  const int64_t rows = p.row_end - p.row_begin;
  const int64_t blocks = (rows + kRowBlock - 1) / kRowBlock;
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  const int64_t block_rows = (tiles + blocks - 1) / blocks * kTileRows;
  for (int64_t row = p.row_begin; row < p.row_end; row += block_rows) {
    const int64_t count = row + block_rows < p.row_end ? block_rows : p.row_end - row;
    if (count <= kLowTileRows) {
      MultiplyRows<kLowTileRows, kLowTilePanels, Element>(p, row, count);
    } else {
      MultiplyRows<kTileRows, kTilePanels, Element>(p, row, count);
    }
  }
}

void MultiplyPlain(const PlainProduct& product) {
  if (product.bf16) {
    MultiplyAllRows<uint16_t>(product);
  } else {
    MultiplyAllRows<float>(product);
  }
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_MATMUL_KERNEL_H_
