// MatMul with weights in q8 and q4, plainly: the part of product_plain.cu that rounds rows to int8
// first.
#ifndef SSMD_KERNELS_CUDA_PRODUCT_QUANTISED_H_
#define SSMD_KERNELS_CUDA_PRODUCT_QUANTISED_H_

#include "kernels/cuda/runtime.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda::plain {

void MatMulQuantised(Stream& stream, const MatMulParams& params, std::byte* rounded_rows);

}  // namespace ssmd::kernels::cuda::plain

#endif  // SSMD_KERNELS_CUDA_PRODUCT_QUANTISED_H_
