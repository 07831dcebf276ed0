// Recurrences whose coefficients do not depend on the input (linear and time-invariant, but for
// HiPPO-LegS), over carried state. Part of the contract in ops.h: each token's result and state
// are those of stepping token by token, whatever way prompts are cut (DenseScan: unless its chunked
// form is asked for).
//
// "Channel blocks": arrays laid out [ceil(channels / 64)][…][64], channels contiguous, the padding
// of the last block zero (kChannelBlock of ops.h). "State rows": [n][PaddedLanes(channels)], n
// outermost, padding zero. "Lane blocks": [PaddedLanes(channels) / 16][…][16], likewise. State is
// f32, but for DifferenceScan's.
#ifndef SSMD_KERNELS_LINEAR_OPS_H_
#define SSMD_KERNELS_LINEAR_OPS_H_

#include <cstdint>

#include "kernels/tensor.h"

namespace ssmd::kernels {

// Largest rank of ModalScan's coupling.
inline constexpr int64_t kMaxCoupling = 4;
// Most modes of a channel (ModalScan), delays (DifferenceScan) and coefficients (DenseScan,
// LegsScan).
inline constexpr int64_t kMaxModes = 256;

// Complex modes per channel, diagonal or coupled by a matrix of low rank; S4 (Gu et al. 2022,
// arXiv:2111.00396) and S4D (2206.11893). Conjugates are left out, so each mode counts twice; the
// factor 2 is in the coefficients, and the input's coefficient is 1:
//   s_r = Σ_n Re(coupling_in[r][n] · h[n]),                         for each r < rank
//   h[n] ← decay[n] · h[n] + u[t] − Σ_r coupling_out[r][n] · s_r    (u is added to the real part)
//   y[t] = Σ_n Re(output[n] · h[n]) + d · u[t]
// Sums over n are four runs of ceil(modes / 4) in ascending n, then (r0+r1)+(r2+r3); within a mode
// the real product comes first, then the imaginary one by fma.
struct ModalScanParams {
  const Segment* segments = nullptr;
  int64_t segment_count = 0;
  int64_t rows = 0;  // of all segments together, or 0: not said
  int64_t channels = 0;
  int64_t modes = 0;         // 1..kMaxModes
  int64_t rank = 0;          // of the coupling, 0..kMaxCoupling
  const float* u = nullptr;  // (rows, channels)
  int64_t u_stride = 0;
  // Channel blocks [modes][2] of 64: real parts, imaginary parts.
  const float* decay = nullptr;
  const float* output = nullptr;
  // Channel blocks [rank][modes][2] of 64; null where rank is 0.
  const float* coupling_in = nullptr;
  const float* coupling_out = nullptr;
  const float* d = nullptr;  // (channels)
  StateField state;          // channel blocks [modes][2] of 64
  float* y = nullptr;        // (rows, channels); may be u
  int64_t y_stride = 0;
};

// Complex modes that all channels share, apart from each other: S5 (Smith et al. 2023,
// arXiv:2208.04933) and LRU (Orvieto et al. 2023, 2303.06349), between two matrix products.
//   h[n] ← decay[n] · h[n] + x[t][n],   x[t][n] ← h[n]
// Rows of x have all real parts, then all imaginary ones.
struct ComplexScanParams {
  const Segment* segments = nullptr;
  int64_t segment_count = 0;
  int64_t rows = 0;  // of all segments together, or 0: not said
  int64_t modes = 0;
  const float* decay = nullptr;  // (2, modes)
  StateField state;              // (2, modes)
  float* x = nullptr;            // (rows, 2 · modes), stride x_stride; in place
  int64_t x_stride = 0;
};

// A difference equation per channel: RTF, the rational transfer function (Parnichkun et al. 2024,
// arXiv:2405.06147), in direct form I, whose state is the last inputs and outputs themselves:
//   v[t] = Σ_{i=1..delays} numerator[i] · u[t−i] − Σ_{i=1..delays} denominator[i] · v[t−i]
//   y[t] = v[t] + d · u[t]
// In double throughout: rounding coefficients or state to single can move poles out of the unit
// circle. Sums by fma, i descending, all of u before all of v: so that a token's last terms are
// those that need the token before it. The value of token p lies in row p mod delays.
struct DifferenceScanParams {
  const Segment* segments = nullptr;
  int64_t segment_count = 0;
  int64_t rows = 0;  // of all segments together, or 0: not said
  int64_t channels = 0;
  int64_t delays = 0;        // 1..kMaxModes
  const float* u = nullptr;  // (rows, channels)
  int64_t u_stride = 0;
  // Channel blocks [delays] of 64, row i − 1 for delay i.
  const double* numerator = nullptr;
  const double* denominator = nullptr;
  const double* d = nullptr;  // (channels)
  StateField state;           // kF64: channel blocks [2][delays] of 64: of u, of v
  float* y = nullptr;         // (rows, channels); may be u
  int64_t y_stride = 0;
};

// Tokens of a chunk of DenseScan's chunked form.
inline constexpr int64_t kDenseChunkTokens = 32;

// A dense linear system that all channels share: HiPPO-LegT and its like (Gu et al. 2020,
// arXiv:2008.07669; Voelker et al. 2019, "Legendre Memory Units").
//   h[n] ← Σ_m a[n][m] · h[m] + b[n] · u[t],   y[t] = Σ_n output[n] · h[n] + d · u[t]
// Sums by fma, m and n ascending, from b · u and d · u. (h on the right is that before the token.)
//
// With the operators of a chunk, the chunks of T = kDenseChunkTokens tokens that lie whole in a
// segment and begin at a multiple of T of its positions are taken at once, all other tokens step by
// step as ever: 2N + T / 2 + N² / T multiply-adds a token and channel in place of N² + N. With h
// before the chunk, and sums by fma, n before j, both ascending:
//   y[t] = d · u[t] + Σ_n readout[t][n] · h[n] + Σ_{j <= t} taps[t − j] · u[j]
//   h[n] ← Σ_m step[n][m] · h[m] + Σ_j step[n][N + j] · u[j]
// where step = [a^T | a^{T−1−j} b], readout[t] = output · a^{t+1}, taps[k] = output · aᵏ b.
// That differs by rounding, so bits depend on which chunks are whole: a cut of a history at
// multiples of T does not show, another does. Nothing else does.
struct DenseScanParams {
  const Segment* segments = nullptr;
  int64_t segment_count = 0;
  int64_t rows = 0;  // of all segments together, or 0: not said
  int64_t channels = 0;
  int64_t state_size = 0;    // N, 1..kMaxModes
  const float* u = nullptr;  // (rows, channels)
  int64_t u_stride = 0;
  const float* a = nullptr;       // (N, N)
  const float* b = nullptr;       // (N)
  const float* output = nullptr;  // state rows (N), padding zero
  const float* d = nullptr;       // (channels)
  StateField state;               // state rows (N)
  float* y = nullptr;             // (rows, channels); may be u
  int64_t y_stride = 0;
  // Of a chunk; null: step by step throughout.
  const float* chunk_step = nullptr;     // (N, N + T)
  const float* chunk_readout = nullptr;  // lane blocks (T, N)
  const float* chunk_taps = nullptr;     // lane blocks (T)
};

// How LegsScan goes from one sample to the next.
enum class LegsStep : uint8_t {
  kBilinear,  // the trapezoidal rule, by forward substitution: N operations
  kExact,     // holding the sample (ZOH): the projection of the whole piecewise constant history
};

// HiPPO-LegS: the coefficients of all of a channel's history in normalised Legendre polynomials
// over the time from its first token to now (Gu et al. 2020, arXiv:2008.07669).
//   A[n][k] = −√((2n+1)(2k+1)) for n > k, −(n+1) for n = k, else 0;  B[n] = √(2n+1)
// The first token of a session (position 0) sets h = [u, 0, …]. The token at position k >= 1:
//   kBilinear: (I − A/2k) h' = (I + A/2k) h + (B/k) u
//   kExact:    h' = coefficients of the function that is the old one, squeezed into the first
//              k/(k+1) of the interval, and u in the rest. Quadrature with N Gauss–Legendre nodes
//              is exact here, as products of two such polynomials have degree below 2N; so is the
//              expansion of the squeezed polynomials in plain ones.
//   y[t] = Σ_n output[n] · h[n] + d · u[t]
struct LegsScanParams {
  const Segment* segments = nullptr;
  int64_t segment_count = 0;
  int64_t rows = 0;  // of all segments together, or 0: not said
  int64_t channels = 0;
  int64_t state_size = 0;  // N, 1..kMaxModes
  LegsStep step = LegsStep::kBilinear;
  const float* u = nullptr;  // (rows, channels)
  int64_t u_stride = 0;
  const float* output = nullptr;  // state rows (N), padding zero; null: no y is made
  const float* d = nullptr;       // (channels); null where output is
  StateField state;               // state rows (N)
  float* y = nullptr;             // (rows, channels); may be u
  int64_t y_stride = 0;
};

}  // namespace ssmd::kernels

#endif  // SSMD_KERNELS_LINEAR_OPS_H_
