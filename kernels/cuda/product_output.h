// What every matrix product does with its sums.
#ifndef SSMD_KERNELS_CUDA_PRODUCT_OUTPUT_H_
#define SSMD_KERNELS_CUDA_PRODUCT_OUTPUT_H_

#include "kernels/cuda/simt.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda {

struct ProductOutput {
  const float* bias;  // or null
  const float* add;   // or null
  int64_t add_stride;
  float* out;
  int64_t out_stride;
  int64_t rows;
  int64_t outputs;
};
inline ProductOutput OutputOf(const MatMulParams& params) {
  return {params.bias,       params.add,  params.add_stride, params.out,
          params.out_stride, params.rows, params.w->outputs};
}

// Bias, residual and the store of one sum, where it is not of padding.
SIMT_DEVICE void Finish(const ProductOutput& to, int64_t row, int64_t output, float sum) {
  if (row >= to.rows || output >= to.outputs) return;
  if (to.bias != nullptr) sum = sum + to.bias[output];
  if (to.add != nullptr) sum = sum + to.add[row * to.add_stride + output];
  to.out[row * to.out_stride + output] = sum;
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_PRODUCT_OUTPUT_H_
