// What is about a product by a library (gemm_products.h).
#ifndef SSMD_KERNELS_CUDA_GEMM_ROWS_H_
#define SSMD_KERNELS_CUDA_GEMM_ROWS_H_

#include <cstdint>

#include "kernels/cuda/runtime.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda {

// A matrix in bf16 or f16, row-major, in its own format.
void UnpackWeights(Stream& stream, const PackedMatrix& w, uint16_t* to);
// The rows of a product, rounded as its fast kernels do (rounded_rows.h), without gaps.
void RoundInputs(Stream& stream, const MatMulParams& params, uint16_t* to);
// Bias, and what is added from elsewhere than `out`.
void FinishRows(Stream& stream, const MatMulParams& params);

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_GEMM_ROWS_H_
