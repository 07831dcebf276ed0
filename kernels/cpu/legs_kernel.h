// HiPPO-LegS (LegsScan), over some channels of a segment. Lanes are channels, 16 of which lie side
// by side while tokens go by. What a step depends on beside the channel (the position) is made once
// a token, for all of them. Include after a vec_*.h, vec_math.h and dense_kernel.h. Internal
// linkage.
//
// A state changes by about a 1/k of itself at position k. It is that change which is rounded to
// f32, not factors close to 1: their error would be the same step after step.
#ifndef SSMD_KERNELS_CPU_LEGS_KERNEL_H_
#define SSMD_KERNELS_CPU_LEGS_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace ssmd::kernels::cpu {
namespace {

// Tokens whose steps are made together, and those that go through the state together.
constexpr int64_t kLegsChunk = 8;
constexpr int kLegsTokens = 2;

// The bilinear step with c = 1 / 2k as a recurrence over n, in P = Σ_{m<n} √(2m+1) (h[m] + h'[m])
// − 2u:
//   h'[n] = h[n] − (change · h[n] + pull · P);   P ← keep · P + add · h[n]
struct LegsSteps {
  float change[kLegsChunk][kMaxDense];
  float pull[kLegsChunk][kMaxDense];
  float keep[kLegsChunk][kMaxDense];
  float add[kLegsChunk][kMaxDense];
};

inline void ComputeLegsStep(int64_t size, int64_t position, int64_t t, LegsSteps& steps) {
  const F16 one = Broadcast(1);
  const F16 half = Broadcast(0.5f / static_cast<float>(position));
  for (int64_t n = 0; n < size; n += kLanes) {
    const auto degree = static_cast<uint32_t>(n);
    const F16 below = ToFloat(CountFrom(degree));
    const F16 count = ToFloat(CountFrom(degree + 1));
    alignas(64) float root[kLanes];
    for (int i = 0; i < kLanes; ++i) {
      root[i] = __builtin_sqrtf(static_cast<float>(2 * (n + i) + 1));
    }
    const F16 shrink = one / Fma(half, count, one);
    const F16 part = half * shrink;
    Store(steps.change[t] + n, (count + count) * part);
    Store(steps.pull[t] + n, Load(root) * part);
    Store(steps.keep[t] + n, NegatedFma(half, below, one) * shrink);
    Store(steps.add[t] + n, (Load(root) + Load(root)) * shrink);
  }
}

// Inputs, and outputs if there are any, of the 16 channels from `channel` on.
inline F16 LegsInput(const LegsShare& s, int64_t t, int64_t channel) {
  return LoadPartial(s.u + t * s.u_stride + channel, s.channel_end - channel, 0);
}
inline F16 LegsFeedThrough(const LegsShare& s, int64_t channel, F16 u) {
  if (s.output == nullptr) return u;
  return LoadPartial(s.d + channel, s.channel_end - channel, 0) * u;
}
inline void WriteLegs(const LegsShare& s, int64_t t, int64_t channel, F16 y) {
  if (s.output == nullptr) return;
  StorePartial(s.y + t * s.y_stride + channel, y, s.channel_end - channel);
}

// A session's first token.
inline void StartLegs(const LegsShare& s, int64_t channel, StateColumns& h) {
  const F16 u = LegsInput(s, 0, channel);
  Store(h.rows[0], u);
  for (int64_t n = 1; n < s.state_size; ++n) Store(h.rows[n], Broadcast(0));
  F16 y = LegsFeedThrough(s, channel, u);
  if (s.output != nullptr) y = Fma(Load(s.output + channel), u, y);
  WriteLegs(s, 0, channel, y);
}

// kTokens tokens, of which the first is `first` of the segment and `step` of the steps.
template <int kTokens, bool kReads>
inline void AdvanceLegs(const LegsShare& s, const LegsSteps& steps, int64_t first, int64_t step,
                        int64_t channel, StateColumns& columns) {
  F16 sum[kTokens], y[kTokens];
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t) {
    const F16 u = LegsInput(s, first + t, channel);
    sum[t] = Broadcast(-2) * u;
    y[t] = LegsFeedThrough(s, channel, u);
  }
  const int64_t size = s.state_size;
  const int64_t state_row = s.state_row;
  const float* from = kReads ? s.output + channel : nullptr;
  for (int64_t n = 0; n < size; ++n) {
    F16 h = Load(columns.rows[n]);
    F16 output = h;
    if constexpr (kReads) output = Load(from + n * state_row);
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      const F16 old = h;
      const F16 own = Broadcast(steps.change[step + t][n]) * old;
      h = old - Fma(Broadcast(steps.pull[step + t][n]), sum[t], own);
      sum[t] =
          Fma(Broadcast(steps.keep[step + t][n]), sum[t], Broadcast(steps.add[step + t][n]) * old);
      if constexpr (kReads) y[t] = Fma(output, h, y[t]);
    }
    Store(columns.rows[n], h);
  }
  for (int t = 0; t < kTokens; ++t) WriteLegs(s, first + t, channel, y[t]);
}

template <bool kReads>
inline void TakeLegs(const LegsShare& s, const LegsSteps& steps, int64_t first, int64_t tokens,
                     int64_t channel, StateColumns& columns) {
  int64_t t = 0;
  for (; t + kLegsTokens <= tokens; t += kLegsTokens) {
    AdvanceLegs<kLegsTokens, kReads>(s, steps, first + t, t, channel, columns);
  }
  for (; t < tokens; ++t) AdvanceLegs<1, kReads>(s, steps, first + t, t, channel, columns);
}

// Calls take(channel, columns) for the state of each 16 channels; `first` is the token that comes.
template <typename Take>
inline void ForLegsColumns(const LegsShare& s, int64_t first, const Take& take) {
  const float* from = first == 0 ? s.from : s.to;
  StateColumns columns;
  for (int64_t channel = s.channel_begin; channel < s.channel_end; channel += kLanes) {
    LoadColumns(from + channel, s.state_row, s.state_size, columns);
    take(channel, columns);
    StoreColumns(columns, s.state_size, s.channel_end - channel, s.to + channel, s.state_row);
  }
}

void ScanBilinear(const LegsShare& s, int64_t first) {
  LegsSteps steps;
  for (; first < s.length; first += kLegsChunk) {
    const int64_t tokens = s.length - first < kLegsChunk ? s.length - first : kLegsChunk;
    for (int64_t t = 0; t < tokens; ++t) {
      ComputeLegsStep(s.state_size, s.position + first + t, t, steps);
    }
    ForLegsColumns(s, first, [&](int64_t channel, StateColumns& columns) {
      s.output != nullptr ? TakeLegs<true>(s, steps, first, tokens, channel, columns)
                          : TakeLegs<false>(s, steps, first, tokens, channel, columns);
    });
  }
}

// The recurrence of normalised Legendre polynomials on [−1, 1]:
//   x p_n = β_{n+1} p_{n+1} + β_n p_{n−1},  β_n = n γ_n,  γ_n = 1 / √(4n² − 1)
struct LegendreTerms {
  double beta[kMaxDense + 2 * kDoubleLanes];
  double inverse[kMaxDense + 1];  // 1 / β
  double gamma[kMaxDense + 1];
};

inline void ComputeTerms(int64_t size, LegendreTerms& terms) {
  terms.beta[0] = terms.inverse[0] = terms.gamma[0] = 0;
  for (int64_t n = 1; n <= size; ++n) {
    const auto degree = static_cast<double>(n);
    terms.gamma[n] = 1 / __builtin_sqrt(4 * degree * degree - 1);
    terms.beta[n] = degree * terms.gamma[n];
    terms.inverse[n] = 1 / terms.beta[n];
  }
  for (int64_t n = size + 1; n < size + 2 * kDoubleLanes; ++n) terms.beta[n] = 0;
}

// The exact step: h' = h + matrix · h + held · u, where the matrix is lower triangular. With
// ρ = k / (k + 1), the n-th polynomial at ρ (x + 1) − 1 is Σ_m e[n][m] p_m(x): so e[n] obeys the
// polynomials' own recurrence, with multiplication by x done on coefficients. matrix = ρ e − 1.
struct LegsMatrix {
  int64_t stride;
  float held[kMaxDense];
  alignas(64) float rows[kMaxDense * kMaxDense];
};

// Coefficients of the polynomials n − 1 and n; zero before and behind.
struct LegsExpansion {
  double rows[3][kMaxDense + 3 * kDoubleLanes];
  static constexpr int kFirst = kDoubleLanes;  // where that of m = 0 is
};

// Row n + 1 of the expansion, from the two before it.
inline void AdvanceExpansion(const LegendreTerms& terms, double squeeze, double rest, int64_t n,
                             const double* last, const double* e, double* next) {
  const D8 scale = BroadcastDouble(terms.inverse[n + 1]);
  for (int64_t m = 0; m <= n + 1; m += kDoubleLanes) {
    const D8 above = Load(terms.beta + m + 1) * Load(e + m + 1);
    const D8 moved = BroadcastDouble(squeeze) * Fma(Load(terms.beta + m), Load(e + m - 1), above);
    const D8 at = NegatedFma(BroadcastDouble(rest), Load(e + m), moved);
    Store(next + m, scale * NegatedFma(BroadcastDouble(terms.beta[n]), Load(last + m), at));
  }
}

// ∫ p_n from ρ to 1, of the polynomials on [0, 1], by those that follow and go before it.
inline void ComputeHeld(const LegendreTerms& terms, int64_t size, double rest, LegsMatrix& matrix) {
  const double z = 1 - 2 * rest;
  double last = 0;
  double p = 1;
  for (int64_t n = 0; n < size; ++n) {
    const double next = (z * p - terms.beta[n] * last) * terms.inverse[n + 1];
    const double held = (terms.gamma[n] * last - terms.gamma[n + 1] * next) / 2;
    matrix.held[n] = static_cast<float>(n == 0 ? rest : held);
    last = p;
    p = next;
  }
}

inline void ComputeLegsMatrix(const LegendreTerms& terms, int64_t size, int64_t position,
                              LegsMatrix& matrix) {
  const double rest = 1 / (static_cast<double>(position) + 1);
  const double squeeze = static_cast<double>(position) * rest;
  LegsExpansion expansion = {};
  expansion.rows[1][LegsExpansion::kFirst] = 1;
  matrix.stride = (size + kDoubleLanes - 1) / kDoubleLanes * kDoubleLanes;
  for (int64_t n = 0; n < size; ++n) {
    const double* last = expansion.rows[n % 3] + LegsExpansion::kFirst;
    const double* e = expansion.rows[(n + 1) % 3] + LegsExpansion::kFirst;
    float* row = matrix.rows + n * matrix.stride;
    for (int64_t m = 0; m <= n; m += kDoubleLanes) {
      StoreNarrowed(row + m, BroadcastDouble(squeeze) * Load(e + m));
    }
    row[n] = static_cast<float>(squeeze * e[n] - 1);
    AdvanceExpansion(terms, squeeze, rest, n, last, e,
                     expansion.rows[(n + 2) % 3] + LegsExpansion::kFirst);
  }
  ComputeHeld(terms, size, rest, matrix);
}

// Rows [first, first + kRows) of the state, or fewer where there are only `rows` left: they need
// none behind them, and so are written in place.
template <int kRows>
inline void LegsRows(const LegsMatrix& matrix, F16 u, int64_t first, int64_t rows,
                     StateColumns& h) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return LegsRows<kRows - 1>(matrix, u, first, rows, h);
  }
  const float* a = matrix.rows + first * matrix.stride;
  F16 acc[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) acc[r] = Broadcast(matrix.held[first + r]) * u;
  AddRows<kRows>(a, matrix.stride, h, first, acc);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    for (int m = 0; m <= r; ++m) {
      acc[r] = Fma(Broadcast(a[r * matrix.stride + first + m]), Load(h.rows[first + m]), acc[r]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) Store(h.rows[first + r], Load(h.rows[first + r]) + acc[r]);
}

void ScanExact(const LegsShare& s, int64_t first) {
  LegendreTerms terms;
  LegsMatrix matrix;
  ComputeTerms(s.state_size, terms);
  for (; first < s.length; ++first) {
    ComputeLegsMatrix(terms, s.state_size, s.position + first, matrix);
    ForLegsColumns(s, first, [&](int64_t channel, StateColumns& h) {
      const F16 u = LegsInput(s, first, channel);
      for (int64_t n = (s.state_size - 1) / kTileRows * kTileRows; n >= 0; n -= kTileRows) {
        LegsRows<kTileRows>(matrix, u, n, s.state_size - n, h);
      }
      if (s.output == nullptr) return;
      const F16 y = LegsFeedThrough(s, channel, u);
      WriteLegs(s, first, channel,
                ReadColumns(s.output + channel, s.state_row, h, s.state_size, y));
    });
  }
}

void LegsScanShare(const LegsShare& s) {
  int64_t first = 0;
  if (s.position == 0) {
    ForLegsColumns(s, 0,
                   [&](int64_t channel, StateColumns& columns) { StartLegs(s, channel, columns); });
    first = 1;
  }
  s.exact ? ScanExact(s, first) : ScanBilinear(s, first);
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_LEGS_KERNEL_H_
