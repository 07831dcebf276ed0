// What VDPBF16PS and VCVTNE2PS2BF16 do to a lane, in plain code, and a matrix product's row by
// them: the oracle of the levels that round activations to bf16. Written from the Intel SDM's
// description of the instructions; the modes of the calling thread must be the ordinary ones.
#ifndef SSMD_TESTS_UNIT_KERNELS_ROUNDED_ORACLE_H_
#define SSMD_TESTS_UNIT_KERNELS_ROUNDED_ORACLE_H_

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/number_format.h"
#include "kernels/ops.h"

namespace ssmd::kernels {

// Denormals count as zero, in and out; the sign stays.
inline float Flushed(float value) {
  return std::fabs(value) < FLT_MIN ? std::copysign(0.0f, value) : value;
}

// VCVTNE2PS2BF16: to nearest even, denormals to zero, a NaN to a quiet one.
inline uint16_t RoundedInput(float value) { return RoundToBf16(Flushed(value)); }

// VDPBF16PS: two fused multiply-adds, the pair's second element first.
inline float AddPair(float sum, const uint16_t (&a)[2], const uint16_t (&b)[2]) {
  for (int i : {1, 0}) {
    sum = Flushed(std::fma(Flushed(WidenBf16(a[i])), Flushed(WidenBf16(b[i])), Flushed(sum)));
  }
  return sum;
}

// Σ_k x[k] · weights[k] as MatMul does it where it takes pairs; weights are rounded as Pack does.
inline float RoundedProductOf(const float* x, const float* weights, int64_t inputs) {
  float total = 0;
  for (int64_t begin = 0; begin < inputs; begin += kReductionRun) {
    const int64_t end = std::min(begin + kReductionRun, inputs);
    float run = 0;
    for (int64_t k = begin; k < end; k += 2) {
      const bool pair = k + 1 < end;
      const uint16_t inputs_of_pair[2] = {RoundedInput(x[k]),
                                          pair ? RoundedInput(x[k + 1]) : uint16_t{0}};
      const uint16_t weights_of_pair[2] = {RoundToBf16(weights[k]),
                                           pair ? RoundToBf16(weights[k + 1]) : uint16_t{0}};
      run = AddPair(run, inputs_of_pair, weights_of_pair);
    }
    total = Flushed(total + run);
  }
  return total;
}

}  // namespace ssmd::kernels

#endif  // SSMD_TESTS_UNIT_KERNELS_ROUNDED_ORACLE_H_
