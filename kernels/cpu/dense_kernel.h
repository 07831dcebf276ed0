// A dense linear system that all channels share (DenseScan), over some channels of a segment. Lanes
// are channels; a token is a product of the system's matrix with 16 channels of the state, which
// are side by side meanwhile. Include after a vec_*.h and vec_math.h. Internal linkage.
#ifndef SSMD_KERNELS_CPU_DENSE_KERNEL_H_
#define SSMD_KERNELS_CPU_DENSE_KERNEL_H_

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int64_t kMaxDense = 256;  // kMaxModes of linear_ops.h

// 16 channels of state rows, side by side.
struct alignas(64) StateColumns {
  float rows[kMaxDense][kLanes];
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

// Rows [first, first + kRows) of the next state, or fewer where there are only `rows` left.
template <int kRows>
inline void DenseRows(const DenseShare& s, F16 u, const StateColumns& h, int64_t first,
                      int64_t rows, StateColumns& next) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return DenseRows<kRows - 1>(s, u, h, first, rows, next);
  }
  F16 acc[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) acc[r] = Broadcast(s.b[first + r]) * u;
  AddRows<kRows>(s.a + first * s.state_size, s.state_size, h, s.state_size, acc);
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

void DenseScanShare(const DenseShare& s) {
  StateColumns columns[2];
  for (int64_t channel = 0; channel < s.channels; channel += kLanes) {
    const int64_t lanes = s.channels - channel;
    const F16 d = LoadPartial(s.d + channel, lanes, 0);
    LoadColumns(s.from + channel, s.state_row, s.state_size, columns[0]);
    for (int64_t t = 0; t < s.length; ++t) {
      const StateColumns& h = columns[t % 2];
      StateColumns& next = columns[1 - t % 2];
      const F16 u = LoadPartial(s.u + t * s.u_stride + channel, lanes, 0);
      for (int64_t n = 0; n < s.state_size; n += kTileRows) {
        if (t + 1 == s.length) PrefetchRows(s, channel + kLanes, n);
        DenseRows<kTileRows>(s, u, h, n, s.state_size - n, next);
      }
      const F16 y = ReadColumns(s.output + channel, s.state_row, next, s.state_size, d * u);
      StorePartial(s.y + t * s.y_stride + channel, y, lanes);
    }
    StoreColumns(columns[s.length % 2], s.state_size, lanes, s.to + channel, s.state_row);
  }
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_DENSE_KERNEL_H_
