#include "kernels/reference/ops.h"

namespace ssmd::kernels::reference {

void MatMul(const MatMulParams& params) {
  const PackedMatrix& w = *params.w;
  for (int64_t r = 0; r < params.rows; ++r) {
    const float* x = params.x + r * params.x_stride;
    for (int64_t o = 0; o < w.outputs; ++o) {
      double sum = 0;
      for (int64_t k = 0; k < w.inputs; ++k) sum += x[k] * Weight(w, o, k);
      if (params.bias != nullptr) sum += params.bias[o];
      if (params.add != nullptr) sum += params.add[r * params.add_stride + o];
      params.out[r * params.out_stride + o] = static_cast<float>(sum);
    }
  }
}

}  // namespace ssmd::kernels::reference
