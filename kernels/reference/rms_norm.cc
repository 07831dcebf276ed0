#include <cmath>

#include "kernels/reference/ops.h"

namespace ssmd::kernels::reference {

void RmsNorm(const RmsNormParams& params) {
  for (int64_t r = 0; r < params.rows; ++r) {
    const int64_t i = params.row_index != nullptr ? params.row_index[r] : r;
    const float* x = params.x + i * params.x_stride;
    float* out = params.out + r * params.out_stride;
    double squares = 0;
    for (int64_t c = 0; c < params.cols; ++c) squares += double{x[c]} * x[c];
    const double root = std::sqrt(squares / static_cast<double>(params.cols) + double{params.eps});
    for (int64_t c = 0; c < params.cols; ++c) {
      const double weight = params.weight != nullptr ? params.weight[c] : 1.0;
      out[c] = static_cast<float>(x[c] / root * weight);
    }
  }
}

}  // namespace ssmd::kernels::reference
