// Quantised weights. Group-wise ones: 32 consecutive inputs of one output share a scale (and, with
// four bits, a minimum), kept as f16.
//
//   q8: w ≈ scale · (code − 128), code in [0, 255]; scale = largest / 127, so 1..255 but for what
//       files hold
//   q4: w ≈ scale · code + minimum, code in [0, 15]; scale and minimum by least squares, the best
//   of
//       a few roundings (the search is that of llama.cpp's k-quants, by Kawrakow 2023)
//
// And those that are floating-point numbers of eight bits, where all inputs of an output share a
// scale, kept as f32:
//
//   fp8: w ≈ scale · e4m3(code); scale = largest / 448. e4m3 has a sign, four bits of exponent
//       (bias 7, denormals below 2^−6) and three of significand, no infinities, and a NaN that is
//       not made (Micikevicius et al. 2022, arXiv:2209.05433)
//
// What is quantised here is what every device keeps, each in its own order: the codes and scales of
// a matrix do not depend on the device. Pure functions, in plain IEEE arithmetic.
#ifndef SSMD_KERNELS_QUANTISE_H_
#define SSMD_KERNELS_QUANTISE_H_

#include <cstdint>

#include "kernels/tensor.h"

namespace ssmd::kernels {

inline constexpr int64_t kGroupInputs = 32;
// Codes of q8 are kept above this, without a sign: the form that dot-product instructions take.
inline constexpr int kCodeOffset = 128;

inline constexpr bool IsQuantised(WeightFormat format) {
  return format == WeightFormat::kQ8 || format == WeightFormat::kQ4;
}

inline constexpr int64_t GroupCount(int64_t inputs) {
  return (inputs + kGroupInputs - 1) / kGroupInputs;
}

// Largest magnitude of a weight that is quantised: scale and minimum stay within f16.
inline constexpr float kMaxQuantisedWeight = 32768;

struct QuantisedGroup {
  uint8_t codes[kGroupInputs];
  uint16_t scale;    // f16
  uint16_t minimum;  // f16; zero in q8
};

// The first `count` (1..32) inputs of a group; the codes of the others stand for zero in q8, and
// are zero in q4 (activations are zero there). REQUIRES: |w| <= kMaxQuantisedWeight; `format` is
// kQ8 or kQ4.
QuantisedGroup QuantiseGroup(const float* weights, int64_t count, WeightFormat format);

// All groups of row `row` of a source. Weights that are in such groups already (ggml's Q8_0 and
// Q4_0) keep their codes and scales: nothing is lost. `scratch` has room for a row of floats.
// REQUIRES: as QuantiseGroup, where the source is not in such groups.
void QuantiseSourceRow(const MatrixSource& source, int64_t row, WeightFormat format, float* scratch,
                       QuantisedGroup* groups);

// The weight that a group keeps for input i, exact in double.
double DequantisedWeight(const QuantisedGroup& group, int64_t i, WeightFormat format);

// The largest e4m3.
inline constexpr float kMaxE4m3 = 448;

// To the nearest e4m3, ties to even, beyond the largest to that. Not of a NaN.
uint8_t RoundToE4m3(float value);
float WidenE4m3(uint8_t code);

// The scale of an output's weights, and the code of one of them. The scale is zero where all are
// too small for one that is a normal number: they are then kept as zero.
float E4m3Scale(const float* weights, int64_t count);
uint8_t E4m3Code(float weight, float scale);

}  // namespace ssmd::kernels

#endif  // SSMD_KERNELS_QUANTISE_H_
