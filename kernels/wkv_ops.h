// The recurrences of RWKV. Part of the contract in ops.h: each token's result and state are those
// of stepping token by token, whatever way prompts are cut. State is f32.
#ifndef SSMD_KERNELS_WKV_OPS_H_
#define SSMD_KERNELS_WKV_OPS_H_

#include <cstdint>

#include "kernels/tensor.h"

namespace ssmd::kernels {

// RWKV-4 (Peng et al. 2023, arXiv:2305.13048), per channel, with sums kept as mantissas of e^p:
//   q = max(p, u + k);  y = σ(r) · (e^{p−q} a + e^{u+k−q} v) / (e^{p−q} b + e^{u+k−q})
//   q = max(p + w, k);  a ← e^{p+w−q} a + e^{k−q} v;  b ← e^{p+w−q} b + e^{k−q};  p ← q
// State rows a, b, p. Before a session's first token (position 0) p counts as −1e30, whatever the
// state says.
struct Wkv4Params {
  const Segment* segments = nullptr;
  int64_t segment_count = 0;
  int64_t rows = 0;  // of all segments together, or 0: not said
  int64_t channels = 0;
  const float* r = nullptr;  // (rows, channels); so k and v; stride x_stride each
  const float* k = nullptr;
  const float* v = nullptr;
  int64_t x_stride = 0;
  const float* decay = nullptr;  // (channels): w = −exp(time_decay), <= 0
  const float* bonus = nullptr;  // (channels): u, time_first
  StateField state;              // (3, channels)
  float* y = nullptr;            // (rows, channels), stride y_stride; may be r
  int64_t y_stride = 0;
};

// Largest head of Wkv6 and Wkv7; heads are multiples of kVectorLanes wide.
inline constexpr int64_t kMaxWkvHead = 256;

// RWKV-5 and 6 (Peng et al. 2024, arXiv:2404.05892): a matrix state per head that decays by key and
// is read before the token enters it, the token itself with a bonus.
//   y[j] = Σ_i r[i] · (u[i] · k[i] · v[j] + S[i][j]);   S[i][j] ← w[i] · S[i][j] + k[i] · v[j]
// with w[i] = decay[i] (RWKV-5), or exp(−exp(decay[i] + decay_row[t][i])) where decay_row is not
// null (RWKV-6). Σ r[i] · S[i][j] ascends, by fma; Σ r[i] · u[i] · k[i], the same for all j, runs
// over 16 virtual lanes as RmsNorm's, and comes last.
struct Wkv6Params {
  const Segment* segments = nullptr;
  int64_t segment_count = 0;
  int64_t rows = 0;  // of all segments together, or 0: not said
  int64_t heads = 0;
  int64_t head_dim = 0;      // multiple of kVectorLanes, <= kMaxWkvHead
  const float* r = nullptr;  // (rows, heads · head_dim); so k and v; stride x_stride each
  const float* k = nullptr;
  const float* v = nullptr;
  int64_t x_stride = 0;
  const float* decay = nullptr;      // (heads · head_dim)
  const float* decay_row = nullptr;  // (rows, heads · head_dim), stride decay_stride, or null
  int64_t decay_stride = 0;
  const float* bonus = nullptr;  // (heads · head_dim): u
  StateField state;              // (heads, head_dim of i, head_dim of j)
  float* y = nullptr;            // (rows, heads · head_dim), stride y_stride; overlaps no operand
  int64_t y_stride = 0;
};

// RWKV-7 (Peng et al. 2025, arXiv:2503.14456) with what surrounds the recurrence in a head:
//   v ← v + (v_first − v) · σ(v_gate)                       where v_gate is not null
//   a = σ(a_raw);  w = exp(−e^{−1/2} · σ(w_raw))
//   κ = k · k_k, divided by max(‖κ‖₂, 1e-12) of the head;   k ← k · (1 + (a − 1) · k_a)
//   S[i][j] ← w[j] · S[i][j] − (Σ_m S[i][m] κ[m]) · κ[j] · a[j] + v[i] · k[j]
//   o[i] = Σ_j S[i][j] · r[j]                               (S after the token)
//   y = (GroupNorm of o over the head · norm_weight + norm_bias + (Σ r · k · r_k) · v) · g
// The norm is GroupNormParams' with norm_eps.
struct Wkv7Params {
  const Segment* segments = nullptr;
  int64_t segment_count = 0;
  int64_t rows = 0;  // of all segments together, or 0: not said
  int64_t heads = 0;
  int64_t head_dim = 0;  // multiple of kVectorLanes, <= kMaxWkvHead
  // (rows, heads · head_dim) each, stride x_stride:
  const float* r = nullptr;
  const float* w_raw = nullptr;
  const float* k = nullptr;
  const float* v = nullptr;
  const float* a_raw = nullptr;
  const float* g = nullptr;
  const float* v_gate = nullptr;   // or null: v is as it is
  const float* v_first = nullptr;  // v of the first layer; null where v_gate is
  int64_t x_stride = 0;
  // (heads · head_dim) each:
  const float* k_k = nullptr;
  const float* k_a = nullptr;
  const float* r_k = nullptr;
  const float* norm_weight = nullptr;
  const float* norm_bias = nullptr;
  float norm_eps = 0;
  StateField state;    // (heads, head_dim of j, head_dim of i): i, of v, contiguous
  float* y = nullptr;  // (rows, heads · head_dim), stride y_stride; overlaps no operand
  int64_t y_stride = 0;
};

}  // namespace ssmd::kernels

#endif  // SSMD_KERNELS_WKV_OPS_H_
