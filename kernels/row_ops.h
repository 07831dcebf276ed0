// Ops on the rows of a step that layers beside Mamba's consist of: norms with a mean, activations
// and gates, the token shift of RWKV and the rotation of RetNet. Part of the contract in ops.h.
#ifndef SSMD_KERNELS_ROW_OPS_H_
#define SSMD_KERNELS_ROW_OPS_H_

#include <cstdint>

#include "kernels/tensor.h"

namespace ssmd::kernels {

// out[r] = (x[i] − mean) / sqrt(mean((x[i] − mean)²) + eps) * weight + bias, in groups: each mean
// is over cols / groups neighbouring columns; i = row_index ? row_index[r] : r. One group:
// LayerNorm (Ba et al. 2016, arXiv:1607.06450); more: GroupNorm (Wu & He 2018, arXiv:1803.08494).
// Both sums run over 16 virtual lanes as RmsNorm's. In place is allowed when row_index is null.
struct GroupNormParams {
  const float* x = nullptr;  // (…, cols), stride x_stride
  int64_t x_stride = 0;
  const int32_t* row_index = nullptr;  // (rows), or null
  const float* weight = nullptr;       // (cols), or null: 1
  const float* bias = nullptr;         // (cols), or null: 0
  float eps = 0;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t groups = 1;    // divides cols
  float* out = nullptr;  // (rows, cols), stride out_stride
  int64_t out_stride = 0;
};

enum class PointwiseFunction : uint8_t {
  kGelu,         // x · Φ(x), with the normal distribution's Φ (by erf; no tanh approximation)
  kSquaredRelu,  // max(x, 0)²
  kTanh,         // tanh x
  kSigmoid,      // σ(x)
  kGlu,          // x · σ(y)  (Dauphin et al. 2017, arXiv:1612.08083)
  kMultiply,     // x · y
};

// out = f(x + bias) or f(x + bias, y), (+ add). `out` may be `x`, `y` or `add` (a residual). The
// error of each function is under 4 ulp of its result or 1e-7, whichever is more; infinities give
// limits, NaN gives NaN.
struct PointwiseParams {
  PointwiseFunction function = PointwiseFunction::kGelu;
  const float* x = nullptr;  // (rows, cols), stride x_stride
  int64_t x_stride = 0;
  const float* bias = nullptr;  // (cols), or null
  const float* y = nullptr;     // (rows, cols), stride y_stride: of functions with two inputs
  int64_t y_stride = 0;         // 0: one row of y for all
  const float* add = nullptr;   // (rows, cols), stride add_stride, or null
  int64_t add_stride = 0;
  int64_t rows = 0;
  int64_t cols = 0;
  float* out = nullptr;  // (rows, cols), stride out_stride
  int64_t out_stride = 0;
};

// Mixtures of each token's input with that of the token before it (Peng et al. 2023,
// arXiv:2305.13048; with weights of the token's own in 2404.05892):
//   out[i][t][c] = x[t][c] + (x[t−1][c] − x[t][c]) · (mix[i][c] + delta[i][t][c])
// by one fma after the difference and the sum. x before the segment is the state.
inline constexpr int kMaxShifted = 6;
struct TokenShiftParams {
  const Segment* segments = nullptr;
  int64_t segment_count = 0;
  int64_t rows = 0;  // of all segments together, or 0: not said
  int64_t channels = 0;
  const float* x = nullptr;  // (rows, channels), stride x_stride
  int64_t x_stride = 0;
  StateField previous;  // (channels) f32: x of the token before
  // Whether the state stays as it is in every slot: another shift of the same step reads it again.
  bool keep_state = false;
  int count = 0;                         // mixtures, 1..kMaxShifted
  const float* mix[kMaxShifted] = {};    // (channels) each
  const float* delta[kMaxShifted] = {};  // (rows, channels) each, stride delta_stride; null: 0
  int64_t delta_stride = 0;
  float* out[kMaxShifted] = {};  // (rows, channels) each, stride out_stride; none may be x
  int64_t out_stride = 0;
};

// Rotates neighbouring pairs of a head's columns by an angle that grows with the position of the
// token in its session, in place (Su et al. 2021, arXiv:2104.09864; RetNet, 2307.08621):
//   (a, b) ← scale · (a cos φ − b sin φ, b cos φ + a sin φ),  φ = position · frequencies[i]
// The angle is reduced in double: in single it is off by 0.02 after a million tokens.
struct RotateParams {
  const Segment* segments = nullptr;
  int64_t segment_count = 0;
  int64_t rows = 0;  // of all segments together, or 0: not said
  int64_t heads = 0;
  int64_t head_dim = 0;                 // even
  const double* frequencies = nullptr;  // (head_dim / 2), radians a token
  float scale = 1;
  float* x = nullptr;  // (rows, heads · head_dim), stride x_stride
  int64_t x_stride = 0;
};

}  // namespace ssmd::kernels

#endif  // SSMD_KERNELS_ROW_OPS_H_
