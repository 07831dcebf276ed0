// A dense linear system that all channels share (DenseScan), over some channels of a segment. Lanes
// are channels; a token is a product of the system's matrix with 16 channels of the state, which
// are side by side meanwhile. So is a chunk of tokens, of a wider matrix with the state and the
// inputs below it; its outputs are read when the states before several chunks are known, so that
// what they are read with is loaded once for all. Include after a vec_*.h and vec_math.h. Internal
// linkage.
#ifndef SSMD_KERNELS_CPU_DENSE_KERNEL_H_
#define SSMD_KERNELS_CPU_DENSE_KERNEL_H_

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int64_t kMaxDense = 256;  // kMaxModes of linear_ops.h

constexpr int64_t kDenseChunk = 32;  // kDenseChunkTokens of linear_ops.h
constexpr int kDenseChunks = 4;      // that are read together

// 16 channels of state rows, side by side, and of a chunk's inputs behind them.
struct alignas(64) StateColumns {
  float rows[kMaxDense + kDenseChunk][kLanes];
};

inline void LoadColumns(const float* from, int64_t stride, int64_t count, StateColumns& to) {
  for (int64_t n = 0; n < count; ++n) Store(to.rows[n], Load(from + n * stride));
}
// Zero beyond the first `lanes`.
inline void StoreColumns(const StateColumns& from, int64_t count, int64_t lanes, float* to,
                         int64_t stride) {
  for (int64_t n = 0; n < count; ++n) {
    Store(to + n * stride, FirstLanes(Load(from.rows[n]), lanes));
  }
}

inline void CopyRows(const StateColumns& from, int64_t count, StateColumns& to) {
  for (int64_t n = 0; n < count; ++n) Store(to.rows[n], Load(from.rows[n]));
}

// acc[r] += Σ_m a[r][m] · h[m], m ascending below m_end; rows of `a` are a_stride apart.
template <int kRows>
inline void AddRows(const float* a, int64_t a_stride, const StateColumns& h, int64_t m_end,
                    F16 (&acc)[kRows]) {
  for (int64_t m = 0; m < m_end; ++m) {
    const F16 row = Load(h.rows[m]);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) acc[r] = Fma(Broadcast(a[r * a_stride + m]), row, acc[r]);
  }
}

// Rows [first, first + kRows) of the next state, or fewer where there are only `rows` left: by the
// matrix of a token, with input u, or by that of a chunk.
template <int kRows, bool kChunk>
inline void DenseRows(const DenseShare& s, F16 u, const StateColumns& h, int64_t first,
                      int64_t rows, StateColumns& next) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return DenseRows<kRows - 1, kChunk>(s, u, h, first, rows, next);
  }
  F16 acc[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) acc[r] = kChunk ? u : Broadcast(s.b[first + r]) * u;
  const int64_t columns = s.state_size + (kChunk ? kDenseChunk : 0);
  AddRows<kRows>((kChunk ? s.chunk_step : s.a) + first * columns, columns, h, columns, acc);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) Store(next.rows[first + r], acc[r]);
}

// Σ_n output[n] · h[n] + d · u of 16 channels.
inline F16 ReadColumns(const float* output, int64_t stride, const StateColumns& h, int64_t count,
                       F16 sum) {
  for (int64_t n = 0; n < count; ++n) sum = Fma(Load(output + n * stride), Load(h.rows[n]), sum);
  return sum;
}

// Rows of the channels that follow, while there is arithmetic to do: a single token's would wait.
inline void PrefetchRows(const DenseShare& s, int64_t channel, int64_t first) {
  const int64_t end = std::min<int64_t>(first + kTileRows, s.state_size);
  for (int64_t n = first; n < end; ++n) {
    Prefetch(s.from + n * s.state_row + channel);
    Prefetch(s.output + n * s.state_row + channel);
  }
}

inline F16 DenseInput(const DenseShare& s, int64_t t, int64_t channel) {
  return LoadPartial(s.u + t * s.u_stride + channel, s.channels - channel, 0);
}

// Tokens [begin, end) one by one, of the state in columns[0].
inline void StepTokens(const DenseShare& s, int64_t channel, int64_t begin, int64_t end,
                       StateColumns* columns) {
  const int64_t lanes = s.channels - channel;
  const F16 d = LoadPartial(s.d + channel, lanes, 0);
  for (int64_t t = begin; t < end; ++t) {
    const StateColumns& h = columns[(t - begin) % 2];
    StateColumns& next = columns[1 - (t - begin) % 2];
    const F16 u = DenseInput(s, t, channel);
    for (int64_t n = 0; n < s.state_size; n += kTileRows) {
      if (t + 1 == s.length) PrefetchRows(s, channel + kLanes, n);
      DenseRows<kTileRows, false>(s, u, h, n, s.state_size - n, next);
    }
    const F16 y = ReadColumns(s.output + channel, s.state_row, next, s.state_size, d * u);
    StorePartial(s.y + t * s.y_stride + channel, y, lanes);
  }
  if ((end - begin) % 2 != 0) CopyRows(columns[1], s.state_size, columns[0]);
}

// acc[c] += Σ_i coefficients[i · stride] · columns[c].rows[first + i].
template <int kChunks>
inline void AddColumns(const float* coefficients, int64_t stride, const StateColumns* columns,
                       int64_t first, int64_t count, F16 (&acc)[kChunks]) {
  for (int64_t i = 0; i < count; ++i) {
    const F16 coefficient = Load(coefficients + i * stride);
#pragma GCC unroll 4
    for (int c = 0; c < kChunks; ++c) {
      acc[c] = Fma(coefficient, Load(columns[c].rows[first + i]), acc[c]);
    }
  }
}

// Outputs of kChunks chunks from token `begin` on, whose states and inputs are in `columns`.
template <int kChunks>
inline void ReadChunks(const DenseShare& s, int64_t channel, int64_t begin,
                       const StateColumns* columns) {
  const int64_t lanes = s.channels - channel;
  const F16 d = LoadPartial(s.d + channel, lanes, 0);
  const float* readout = s.chunk_readout + channel * kDenseChunk * s.state_size;
  const float* taps = s.chunk_taps + channel * kDenseChunk;
  for (int64_t t = 0; t < kDenseChunk; ++t) {
    F16 acc[kChunks];
#pragma GCC unroll 4
    for (int c = 0; c < kChunks; ++c) acc[c] = d * Load(columns[c].rows[s.state_size + t]);
    AddColumns<kChunks>(readout + t * s.state_size * kLanes, kLanes, columns, 0, s.state_size, acc);
    AddColumns<kChunks>(taps + t * kLanes, -kLanes, columns, s.state_size, t + 1, acc);
    for (int c = 0; c < kChunks; ++c) {
      StorePartial(s.y + (begin + c * kDenseChunk + t) * s.y_stride + channel, acc[c], lanes);
    }
  }
}

// kChunks chunks from token `begin` on, of the state in columns[0].
template <int kChunks>
inline void TakeChunks(const DenseShare& s, int64_t channel, int64_t begin, StateColumns* columns) {
  for (int c = 0; c < kChunks; ++c) {
    for (int64_t t = 0; t < kDenseChunk; ++t) {
      Store(columns[c].rows[s.state_size + t], DenseInput(s, begin + c * kDenseChunk + t, channel));
    }
    for (int64_t n = 0; n < s.state_size; n += kTileRows) {
      DenseRows<kTileRows, true>(s, Broadcast(0), columns[c], n, s.state_size - n, columns[c + 1]);
    }
  }
  ReadChunks<kChunks>(s, channel, begin, columns);
  CopyRows(columns[kChunks], s.state_size, columns[0]);
}

// The 16 channels from `channel` on.
inline void ScanColumns(const DenseShare& s, int64_t channel, StateColumns* columns) {
  LoadColumns(s.from + channel, s.state_row, s.state_size, columns[0]);
  StepTokens(s, channel, 0, s.before, columns);
  int64_t t = s.before;
  int64_t chunks = s.chunks;
  for (; chunks >= kDenseChunks; chunks -= kDenseChunks, t += kDenseChunks * kDenseChunk) {
    TakeChunks<kDenseChunks>(s, channel, t, columns);
  }
  for (; chunks > 0; --chunks, t += kDenseChunk) TakeChunks<1>(s, channel, t, columns);
  StepTokens(s, channel, t, s.length, columns);
  StoreColumns(columns[0], s.state_size, s.channels - channel, s.to + channel, s.state_row);
}

void DenseScanShare(const DenseShare& s) {
  StateColumns columns[kDenseChunks + 1];
  for (int64_t channel = 0; channel < s.channels; channel += kLanes) {
    ScanColumns(s, channel, columns);
  }
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_DENSE_KERNEL_H_
