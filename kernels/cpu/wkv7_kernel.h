// The recurrence of RWKV-7 over one head of a segment, with what surrounds it: each token goes
// through the matrix twice, row by row, the second time in the nearest cache. Lanes are values.
// Include after a vec_*.h and vec_math.h. Internal linkage.
//
// The decay is applied as S + (w − 1)·S; scan_kernel.h says why.
#ifndef SSMD_KERNELS_CPU_WKV7_KERNEL_H_
#define SSMD_KERNELS_CPU_WKV7_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/group_norm_kernel.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/wkv6_kernel.h"

namespace ssmd::kernels::cpu {
namespace {

// A token of a head as the recurrence takes it.
struct Wkv7Token {
  const float* r;
  float loss[kMaxWkvWidth];  // w − 1
  float k[kMaxWkvWidth];
  float v[kMaxWkvWidth];
  float kappa[kMaxWkvWidth];
  float back[kMaxWkvWidth];     // κ·a: what of the removed is taken out of each row
  float removed[kMaxWkvWidth];  // −S·κ
};

constexpr float kDecayRate = 0x1.368b3p-1f;  // e^{−1/2}

inline void PrepareColumns(const Wkv7Share& s, int64_t t, int64_t c, Wkv7Token& token) {
  const int64_t at = t * s.x_stride + c;
  F16 v = Load(s.v + at);
  if (s.v_gate != nullptr) v = Fma(Load(s.v_first + at) - v, Sigmoid(Load(s.v_gate + at)), v);
  Store(token.v + c, v);
  const F16 a = Sigmoid(Load(s.a_raw + at));
  Store(token.back + c, a);
  Store(token.loss + c, ExpMinus1(Broadcast(-kDecayRate) * Sigmoid(Load(s.w_raw + at))));
  const F16 k = Load(s.k + at);
  Store(token.kappa + c, k * Load(s.k_k + c));
  Store(token.k + c, k * Fma(a - Broadcast(1), Load(s.k_a + c), Broadcast(1)));
}

inline void PrepareToken(const Wkv7Share& s, int64_t t, Wkv7Token& token) {
  token.r = s.r + t * s.x_stride;
  F16 squares = Broadcast(0);
  for (int64_t c = 0; c < s.head_dim; c += kLanes) {
    PrepareColumns(s, t, c, token);
    const F16 kappa = Load(token.kappa + c);
    squares = Fma(kappa, kappa, squares);
  }
  float lanes[kLanes];
  Store(lanes, squares);
  const float norm = __builtin_sqrtf(SumLanes(lanes));
  const F16 divisor = Broadcast(norm > 1e-12f ? norm : 1e-12f);
  for (int64_t c = 0; c < s.head_dim; c += kLanes) {
    const F16 kappa = Load(token.kappa + c) / divisor;
    Store(token.kappa + c, kappa);
    Store(token.back + c, kappa * Load(token.back + c));
  }
}

// What κ reads, over kGroups groups of values from `column` on.
template <int kGroups>
inline void ReadRemoved(const WkvPlace& place, int64_t column, Wkv7Token& token) {
  F16 sum[kGroups];
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) sum[g] = Broadcast(0);
  for (int64_t j = 0; j < place.dim; ++j) {
    const float* from = place.from + j * place.dim + column;
    const F16 kappa = Broadcast(token.kappa[j]);
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) sum[g] = Fma(kappa, Load(from + g * kLanes), sum[g]);
  }
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) {
    Store(token.removed + column + g * kLanes, Broadcast(0) - sum[g]);
  }
}

// Advances kGroups groups of values, and leaves in `o` what r reads of them.
template <int kGroups>
inline void Wkv7Pass(const Wkv7Token& token, const WkvPlace& place, int64_t column, float* o) {
  F16 sum[kGroups], removed[kGroups], v[kGroups];
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) {
    sum[g] = Broadcast(0);
    removed[g] = Load(token.removed + column + g * kLanes);
    v[g] = Load(token.v + column + g * kLanes);
  }
  for (int64_t j = 0; j < place.dim; ++j) {
    const float* from = place.from + j * place.dim + column;
    float* to = place.to + j * place.dim + column;
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      const F16 old = Load(from + g * kLanes);
      F16 state = Fma(Broadcast(token.loss[j]), old, old);
      state = Fma(Broadcast(token.back[j]), removed[g], state);
      state = Fma(Broadcast(token.k[j]), v[g], state);
      sum[g] = Fma(Broadcast(token.r[j]), state, sum[g]);
      Store(to + g * kLanes, state);
    }
  }
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) Store(o + column + g * kLanes, sum[g]);
}

inline void StepMatrix(Wkv7Token& token, const WkvPlace& place, float* o) {
  // Their sums, and in the second pass their operands, stay in the 16 registers of AVX2.
  constexpr int kReadGroups = 4, kPassGroups = 2;
  int64_t column = 0;
  for (; column + kReadGroups * kLanes <= place.dim; column += kReadGroups * kLanes) {
    ReadRemoved<kReadGroups>(place, column, token);
  }
  for (; column < place.dim; column += kLanes) ReadRemoved<1>(place, column, token);
  column = 0;
  for (; column + kPassGroups * kLanes <= place.dim; column += kPassGroups * kLanes) {
    Wkv7Pass<kPassGroups>(token, place, column, o);
  }
  for (; column < place.dim; column += kLanes) Wkv7Pass<1>(token, place, column, o);
}

void Wkv7Scan(const Wkv7Share& s) {
  Wkv7Token token;
  float o[kMaxWkvWidth];
  for (int64_t t = 0; t < s.length; ++t) {
    PrepareToken(s, t, token);
    StepMatrix(token, {t == 0 ? s.from : s.to, s.to, s.head_dim}, o);
    NormalizeGroup({o, s.norm_weight, s.norm_bias, s.norm_eps, s.head_dim, o});
    const F16 bonus = Broadcast(SumProducts(token.r, token.k, s.r_k, s.head_dim));
    for (int64_t c = 0; c < s.head_dim; c += kLanes) {
      const F16 read = Fma(bonus, Load(token.v + c), Load(o + c));
      Store(s.y + t * s.y_stride + c, read * Load(s.g + t * s.x_stride + c));
    }
  }
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_WKV7_KERNEL_H_
