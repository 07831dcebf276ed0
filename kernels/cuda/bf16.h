// Rounding to bf16 in kernels.
#ifndef SSMD_KERNELS_CUDA_BF16_H_
#define SSMD_KERNELS_CUDA_BF16_H_

#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda {

// To nearest even, denormals to zero; a NaN stays one.
SIMT_DEVICE uint32_t Bf16Bits(float value) {
  const uint32_t bits = BitsOf(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return 0x7FC0;
  const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
  return (rounded & 0x7F80) == 0 ? rounded & 0x8000 : rounded;
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_BF16_H_
