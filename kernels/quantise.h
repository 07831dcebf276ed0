// Group-wise quantised weights: 32 consecutive inputs of one output share a scale (and, with four
// bits, a minimum), kept as f16.
//
//   q8: w ≈ scale · (code − 128), code in [0, 255]; scale = largest / 127, so 1..255 but for what
//       files hold
//   q4: w ≈ scale · code + minimum, code in [0, 15]; scale and minimum by least squares, the best
//   of
//       a few roundings (the search is that of llama.cpp's k-quants, by Kawrakow 2023)
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

}  // namespace ssmd::kernels

#endif  // SSMD_KERNELS_QUANTISE_H_
