// Matrix product of rows against one panel (pack.h), in tiles of rows × groups of 16 outputs that
// stay in registers. Include after a vec_*.h and vec_math.h. Internal linkage.
//
// Each output has one accumulator, which takes its products in ascending input by FMA within a run
// of kRun inputs; runs are added in ascending order. So neither the tile's shape nor the
// instruction set shows in the result.
#ifndef SSMD_KERNELS_CPU_MATMUL_KERNEL_H_
#define SSMD_KERNELS_CPU_MATMUL_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int64_t kRun = 512;  // kReductionRun of ops.h
// How far ahead of a single row's product its weights are fetched.
constexpr int64_t kPrefetchBytes = 4096;

// Weights of one input, for groups that start at an even 16 outputs of the panel.
struct F32Panel {
  using Element = float;
  template <int kGroup>
  static F16 Group(const float* line) {
    return Load(line + kGroup * kLanes);
  }
};
struct Bf16Panel {
  using Element = uint16_t;
  template <int kGroup>
  static F16 Group(const uint16_t* line) {
    return LoadBf16<(kGroup & 1) != 0>(line + kGroup / 2 * 32);
  }
};

// The first kGroups groups from kFirst on.
template <typename Panel, int kFirst, int kGroups>
inline void LoadGroups(const typename Panel::Element* line, F16 (&w)[kGroups]) {
  w[0] = Panel::template Group<kFirst>(line);
  if constexpr (kGroups > 1) w[1] = Panel::template Group<kFirst + 1>(line);
  if constexpr (kGroups > 2) w[2] = Panel::template Group<kFirst + 2>(line);
  if constexpr (kGroups > 3) w[3] = Panel::template Group<kFirst + 3>(line);
}

// Adds the products of inputs [begin, end) into acc.
template <typename Panel, int kRows, int kFirst, int kGroups>
inline void AccumulateRun(const float* const (&x)[kRows], const typename Panel::Element* weights,
                          int64_t width, int64_t begin, int64_t end, F16 (&acc)[kRows][kGroups]) {
  const typename Panel::Element* line = weights + begin * width;
  for (int64_t k = begin; k < end; ++k, line += width) {
    if constexpr (kRows == 1) {
      const char* ahead = reinterpret_cast<const char*>(line) + kPrefetchBytes;
      constexpr int kBytes = kGroups * kLanes * static_cast<int>(sizeof(*line));
      for (int byte = 0; byte < kBytes; byte += 64) Prefetch(ahead + byte);
    }
    F16 w[kGroups];
    LoadGroups<Panel, kFirst, kGroups>(line, w);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const F16 input = Broadcast(x[r][k]);
#pragma GCC unroll 4
      for (int g = 0; g < kGroups; ++g) acc[r][g] = Fma(input, w[g], acc[r][g]);
    }
  }
}

// Bias, residual and the store of 16 outputs, `column` being the first in the panel.
inline void Finish(const PanelProduct& p, int64_t row, int64_t column, F16 sum) {
  const int64_t n = p.outputs - column;
  if (n <= 0) return;
  if (p.bias != nullptr) sum = sum + LoadPartial(p.bias + column, n, 0);
  if (p.add != nullptr) sum = sum + LoadPartial(p.add + row * p.add_stride + column, n, 0);
  StorePartial(p.out + row * p.out_stride + column, sum, n);
}

// Rows [row, row + kRows) × groups [first_group, first_group + kGroups), whose parity is kFirst.
template <typename Panel, int kRows, int kFirst, int kGroups>
void MultiplyTile(const PanelProduct& p, int64_t row, int64_t first_group) {
  const float* x[kRows];
  for (int r = 0; r < kRows; ++r) x[r] = p.x + (row + r) * p.x_stride;
  const int64_t first_column = (first_group - kFirst) * kLanes;
  const auto* weights = static_cast<const typename Panel::Element*>(p.weights) + first_column;

  // Sums of the runs so far: in memory, since the registers are the accumulators'.
  float sums[kRows][kGroups][kLanes] = {};
  for (int64_t begin = 0; begin < p.inputs; begin += kRun) {
    const int64_t end = begin + kRun < p.inputs ? begin + kRun : p.inputs;
    F16 acc[kRows][kGroups];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int g = 0; g < kGroups; ++g) acc[r][g] = Broadcast(0);
    }
    AccumulateRun<Panel, kRows, kFirst, kGroups>(x, weights, p.width, begin, end, acc);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int g = 0; g < kGroups; ++g) Store(sums[r][g], Load(sums[r][g]) + acc[r][g]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int g = 0; g < kGroups; ++g) {
      Finish(p, row + r, first_column + (kFirst + g) * kLanes, Load(sums[r][g]));
    }
  }
}

// All groups of the panel for kRows rows.
template <typename Panel, int kRows>
void MultiplyRows(const PanelProduct& p, int64_t row) {
  constexpr int kGroups = TileGroups(kRows);
  const int64_t groups = p.width / kLanes;
  int64_t group = 0;
  for (; group + kGroups <= groups && kGroups > 1; group += kGroups) {
    MultiplyTile<Panel, kRows, 0, kGroups>(p, row, group);
  }
  for (; group < groups; ++group) {
    if (group % 2 == 0) {
      MultiplyTile<Panel, kRows, 0, 1>(p, row, group);
    } else {
      MultiplyTile<Panel, kRows, 1, 1>(p, row, group);
    }
  }
}

// Runs MultiplyRows with `rows` as its constant.
template <typename Panel, int kRows>
void DispatchRows(const PanelProduct& p, int64_t row, int64_t rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      DispatchRows<Panel, kRows - 1>(p, row, rows);
      return;
    }
  }
  MultiplyRows<Panel, kRows>(p, row);
}

template <typename Panel>
void MultiplyAllRows(const PanelProduct& p) {
  // Tiles of nearly equal height: 7 rows are better as 4 + 3 than as 6 + 1.
  const int64_t rows = p.row_end - p.row_begin;
  const int64_t tiles = (rows + kMaxTileRows - 1) / kMaxTileRows;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t begin = rows * tile / tiles;
    const int64_t end = rows * (tile + 1) / tiles;
    DispatchRows<Panel, kMaxTileRows>(p, p.row_begin + begin, end - begin);
  }
}

void MultiplyPanel(const PanelProduct& p) {
  if (p.bf16) {
    MultiplyAllRows<Bf16Panel>(p);
  } else {
    MultiplyAllRows<F32Panel>(p);
  }
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_MATMUL_KERNEL_H_
