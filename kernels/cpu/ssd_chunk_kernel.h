// The Mamba-2 recurrence of whole chunks of a prompt as matrix products (Dao & Gu 2024, section 6).
// Within a chunk of tokens, with S the state before it and s(j, i) = Σ Δ·a of the tokens after j up
// to i,
//   y_i = e^{s(·, i)} C_i·S + Σ_{j<=i} (C_i·B_j) e^{s(j, i)} Δ_j x_j + d x_i
//   S'  = e^{s(·, last)} S + Σ_j B_j e^{s(j, last)} Δ_j x_j
// C_i·B_j and B's transpose are the same for the heads of a group and are made first, once
// (SsdGroupProducts). Each s is a sum of its own, not a difference of two, so that no exponent is
// above 0 and none has lost its digits. Include after ssd_kernel.h. Internal linkage.
//
// Lanes are channels, and tokens of one chunk in the products of the group. An output has one
// accumulator, which takes its products in ascending order; so tiles do not show in the result.
#ifndef SSMD_KERNELS_CPU_SSD_CHUNK_KERNEL_H_
#define SSMD_KERNELS_CPU_SSD_CHUNK_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int64_t kChunk = kSsdChunk;
constexpr int64_t kChunkBlocks = kChunk / kLanes;

// A sum of products for kRows rows of `from` (row r's terms at from + r · stride) with `lines` of
// 16 lanes: acc[r] += Σ_k from[r][k] · lines[k].
template <int kRows>
inline void AddLines(const float* from, int64_t stride, const float* lines, int64_t line_stride,
                     int64_t count, F16 (&acc)[kRows]) {
  for (int64_t k = 0; k < count; ++k) {
    const F16 line = Load(lines + k * line_stride);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) acc[r] = Fma(Broadcast(from[r * stride + k]), line, acc[r]);
  }
}

// A tile's height, for a lambda to take as a constant.
template <int kRows>
struct Rows {};

template <int kRows, typename Tile>
inline void CallTile(int64_t rows, int64_t first, const Tile& tile) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      CallTile<kRows - 1>(rows, first, tile);
      return;
    }
  }
  tile(Rows<kRows>(), first);
}

// Cuts `count` rows into tiles of nearly equal height, last tile first.
template <typename Tile>
inline void ForTiles(int64_t count, const Tile& tile) {
  const int64_t tiles = (count + kTileRows - 1) / kTileRows;
  for (int64_t i = tiles - 1; i >= 0; --i) {
    const int64_t first = count * i / tiles;
    CallTile<kTileRows>(count * (i + 1) / tiles - first, first, tile);
  }
}

// products[i][j] = C_i·B_j for j <= i, and some beyond; transposed[n][j] = B_j[n].
void SsdGroupProducts(const SsdGroup& g) {
  for (int64_t j = 0; j < kChunk; ++j) {
    const float* b = g.b + j * g.b_stride;
    for (int64_t n = 0; n < g.state_size; ++n) g.transposed[n * kChunk + j] = b[n];
  }
  ForTiles(kChunk, [&]<int kRows>(Rows<kRows>, int64_t first) {
    for (int64_t j = 0; j < first + kRows; j += kLanes) {
      F16 acc[kRows];
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) acc[r] = Broadcast(0);
      AddLines<kRows>(g.c + first * g.c_stride, g.c_stride, g.transposed + j, kChunk, g.state_size,
                      acc);
      for (int r = 0; r < kRows; ++r) Store(g.products + (first + r) * kChunk + j, acc[r]);
    }
  });
}

// What the channels of a head share in a chunk.
struct SsdChunkWeights {
  // (C_i·B_j) e^{s(j, i)} Δ_j; 0 above the diagonal, where nothing is written.
  alignas(64) float inner[kChunk][kChunk] = {};
  float entry[kChunk];  // e^{s(·, i)}
  float exit[kChunk];   // e^{s(j, last)} Δ_j
  float loss;           // e^{s(·, last)} − 1
};

inline void WeighChunk(const SsdShare& s, const float* products, int64_t first,
                       SsdChunkWeights& w) {
  static constexpr float kCount[kLanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  alignas(64) float delta[kChunk];
  alignas(64) float rate[kChunk];  // Δ·a
  for (int64_t t = 0; t < kChunk; t += kLanes) {
    SsdSteps steps;
    ComputeSteps(s, first + t, steps);
    const F16 d = Load(steps.delta);
    Store(delta + t, d);
    Store(rate + t, d * Broadcast(s.a));
  }
  F16 sums[kChunkBlocks];
  for (F16& sum : sums) sum = Broadcast(0);
  float from_start = 0;
  for (int64_t i = 0; i < kChunk; ++i) {
    from_start += rate[i];
    w.entry[i] = from_start;
    const F16 row = Broadcast(static_cast<float>(i % kLanes));
    const F16 step = Broadcast(rate[i]);
    const int64_t last = i / kLanes;
    // Lanes are the tokens j; those before i decay.
    for (int64_t block = 0; block < last; ++block) {
      sums[block] = sums[block] + step;
      const F16 weight = Exp(sums[block]) * Load(delta + block * kLanes);
      Store(w.inner[i] + block * kLanes, weight * Load(products + i * kChunk + block * kLanes));
    }
    const F16 lane = Load(kCount);
    sums[last] = SelectGreater(row, lane, sums[last] + step, sums[last]);
    const F16 weight =
        Exp(sums[last]) * Load(delta + last * kLanes) * Load(products + i * kChunk + last * kLanes);
    Store(w.inner[i] + last * kLanes, SelectGreater(lane, row, Broadcast(0), weight));
  }
  for (int64_t block = 0; block < kChunkBlocks; ++block) {
    Store(w.exit + block * kLanes, Exp(sums[block]) * Load(delta + block * kLanes));
    Store(w.entry + block * kLanes, Exp(Load(w.entry + block * kLanes)));
  }
  float loss[kLanes];
  Store(loss, ExpMinus1(Broadcast(from_start)));
  w.loss = loss[0];
}

// 16 channels of a share while its chunks go by, side by side.
struct SsdColumn {
  alignas(64) float state[kMaxSsdState][kLanes];
  float x[kChunk][kLanes];  // of a chunk
};

// One chunk of the 16 channels from `channel` on.
template <typename State>
inline void AdvanceColumn(const SsdShare& s, const SsdChunkWeights& w, const float* transposed,
                          int64_t first, int64_t channel, SsdColumn& column) {
  const int64_t channels = s.channels - channel;
  float* state = column.state[0];
  auto& x = column.x;
  const F16 d = s.d != nullptr ? LoadPartial(s.d + channel, channels, 0) : Broadcast(0);
  ForTiles(kChunk, [&]<int kRows>(Rows<kRows>, int64_t token) {
    F16 acc[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) acc[r] = Broadcast(0);
    AddLines<kRows>(s.c + (first + token) * s.c_stride, s.c_stride, state, kLanes, s.state_size,
                    acc);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) acc[r] = acc[r] * Broadcast(w.entry[token + r]);
    AddLines<kRows>(w.inner[token], kChunk, x[0], kLanes, token + kRows, acc);
    for (int r = 0; r < kRows; ++r) {
      const F16 y = s.d != nullptr ? Fma(d, Load(x[token + r]), acc[r]) : acc[r];
      StorePartial(s.y + (first + token + r) * s.y_stride + channel, y, channels);
    }
  });
  for (int64_t t = 0; t < kChunk; ++t) Store(x[t], Load(x[t]) * Broadcast(w.exit[t]));
  const F16 loss = Broadcast(w.loss);
  const uint32_t key = KeyOf<State>(s.state, first + kChunk - 1);
  ForTiles(s.state_size, [&]<int kRows>(Rows<kRows>, int64_t n) {
    F16 acc[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const F16 before = Load(state + (n + r) * kLanes);
      acc[r] = Fma(loss, before, before);
    }
    AddLines<kRows>(transposed + n * kChunk, kChunk, x[0], kLanes, kChunk, acc);
    for (int r = 0; r < kRows; ++r) {
      const int64_t element = s.state.element + (n + r) * s.state_row + channel;
      Store(state + (n + r) * kLanes, Rounded<State>(acc[r], key, element));
    }
  });
}

template <typename State>
void SsdScanChunksOf(const SsdChunks& c) {
  using Element = typename State::Element;
  const SsdShare& s = c.share;
  const int64_t columns = (s.channels + kLanes - 1) / kLanes;
  SsdColumn column[kMaxSsdChannels / kLanes];
  for (int64_t n = 0; n < s.state_size; ++n) {
    const Element* from = static_cast<const Element*>(s.state.from) + n * s.state_row;
    for (int64_t i = 0; i < columns; ++i) {
      Store(column[i].state[n], State::Read(from + i * kLanes));
    }
  }
  SsdChunkWeights weights;
  for (int64_t first = 0; first < s.length; first += kChunk) {
    const float* transposed = c.group + first / kChunk * c.group_stride;
    WeighChunk(s, transposed + s.state_size * kChunk, first, weights);
    for (int64_t t = 0; t < kChunk; ++t) {
      const float* x = s.x + (first + t) * s.x_stride;
      for (int64_t i = 0; i < columns; ++i) {
        Store(column[i].x[t], LoadPartial(x + i * kLanes, s.channels - i * kLanes, 0));
      }
    }
    for (int64_t i = 0; i < columns; ++i) {
      AdvanceColumn<State>(s, weights, transposed, first, i * kLanes, column[i]);
    }
  }
  auto* state = static_cast<Element*>(s.state.to);
  for (int64_t n = 0; n < s.state_size; ++n) {
    Element* to = state + n * s.state_row;
    for (int64_t i = 0; i < columns; ++i) State::Write(to + i * kLanes, Load(column[i].state[n]));
  }
  if (s.channels % kLanes != 0) ClearSsdPadding(s, state);
}

void SsdScanChunks(const SsdChunks& c) {
  WithState(c.share.state.numbers, [&](auto state) { SsdScanChunksOf<decltype(state)>(c); });
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_SSD_CHUNK_KERNEL_H_
