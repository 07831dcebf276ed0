// The recurrence of RWKV-5 and 6 over one head of a segment: each token goes through the matrix row
// by row, as it lies in memory. Lanes are its columns. Include after a vec_*.h and vec_math.h.
// Internal linkage.
//
// The decay is applied as S + (w − 1)·S; scan_kernel.h says why.
#ifndef SSMD_KERNELS_CPU_WKV6_KERNEL_H_
#define SSMD_KERNELS_CPU_WKV6_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/norm_kernel.h"

namespace ssmd::kernels::cpu {
namespace {

// A token as the matrix takes it: by row.
struct Wkv6Token {
  const float* r;
  const float* k;
  const float* v;
  const float* loss;  // w − 1
  float bonus;        // Σ r·u·k
};

// Columns of a matrix, in groups of 16, before and after a token.
struct WkvPlace {
  const float* from;
  float* to;
  int64_t dim;
};

inline void FindLosses(const Wkv6Share& s, int64_t t, float* loss) {
  for (int64_t i = 0; i < s.head_dim; i += kLanes) {
    const F16 decay = Load(s.decay + i);
    if (s.decay_row == nullptr) {
      Store(loss + i, decay - Broadcast(1));
    } else {
      const F16 rate = Exp(decay + Load(s.decay_row + t * s.decay_stride + i));
      Store(loss + i, ExpMinus1(Broadcast(0) - rate));
    }
  }
}

// Σ a·b·c of a head, in lanes.
inline float SumProducts(const float* a, const float* b, const float* c, int64_t dim) {
  F16 sum = Broadcast(0);
  for (int64_t i = 0; i < dim; i += kLanes) sum = Fma(Load(a + i) * Load(b + i), Load(c + i), sum);
  float lanes[kLanes];
  Store(lanes, sum);
  return SumLanes(lanes);
}

// A token, over kGroups groups of columns from `column` on.
template <int kGroups>
inline void Wkv6Pass(const Wkv6Token& in, const WkvPlace& place, int64_t column, float* y) {
  F16 sum[kGroups];
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) sum[g] = Broadcast(0);
  for (int64_t i = 0; i < place.dim; ++i) {
    const float* from = place.from + i * place.dim + column;
    float* to = place.to + i * place.dim + column;
    const F16 r = Broadcast(in.r[i]);
    const F16 k = Broadcast(in.k[i]);
    const F16 loss = Broadcast(in.loss[i]);
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      const F16 state = Load(from + g * kLanes);
      sum[g] = Fma(r, state, sum[g]);
      Store(to + g * kLanes, Fma(k, Load(in.v + column + g * kLanes), Fma(loss, state, state)));
    }
  }
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) {
    const int64_t at = column + g * kLanes;
    Store(y + at, Fma(Broadcast(in.bonus), Load(in.v + at), sum[g]));
  }
}

void Wkv6Scan(const Wkv6Share& s) {
  constexpr int kGroups = 4;
  float loss[kMaxWkvWidth];
  for (int64_t t = 0; t < s.length; ++t) {
    if (t == 0 || s.decay_row != nullptr) FindLosses(s, t, loss);
    const int64_t at = t * s.x_stride;
    const Wkv6Token token = {s.r + at, s.k + at, s.v + at, loss,
                             SumProducts(s.bonus, s.k + at, s.r + at, s.head_dim)};
    const WkvPlace place = {t == 0 ? s.from : s.to, s.to, s.head_dim};
    float* y = s.y + t * s.y_stride;
    int64_t column = 0;
    for (; column + kGroups * kLanes <= s.head_dim; column += kGroups * kLanes) {
      Wkv6Pass<kGroups>(token, place, column, y);
    }
    for (; column < s.head_dim; column += kLanes) Wkv6Pass<1>(token, place, column, y);
  }
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_WKV6_KERNEL_H_
