#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/quantise.h"
#include "kernels/reference/ops.h"

namespace ssmd::kernels::reference {
namespace {

// The row as int8 codes times their groups' scales.
std::vector<double> RoundToInt8(const float* x, int64_t inputs) {
  std::vector<double> row(static_cast<size_t>(inputs));
  for (int64_t begin = 0; begin < inputs; begin += kGroupInputs) {
    const int64_t end = std::min(begin + kGroupInputs, inputs);
    float largest = 0;
    bool finite = true;
    for (int64_t k = begin; k < end; ++k) {
      largest = std::max(largest, std::fabs(x[k]));
      finite = finite && std::isfinite(x[k]);
    }
    for (int64_t k = begin; k < end; ++k) {
      double& rounded = row[static_cast<size_t>(k)];
      if (!finite) {
        rounded = NAN;
      } else if (largest >= kSmallestActivation) {
        rounded = static_cast<double>(largest / 127) * std::nearbyint(x[k] * (127 / largest));
      }
    }
  }
  return row;
}

}  // namespace

void MatMul(const MatMulParams& params) {
  const PackedMatrix& w = *params.w;
  for (int64_t r = 0; r < params.rows; ++r) {
    const float* x = params.x + r * params.x_stride;
    const std::vector<double> row =
        IsQuantised(w.format) ? RoundToInt8(x, w.inputs) : std::vector<double>(x, x + w.inputs);
    for (int64_t o = 0; o < w.outputs; ++o) {
      double sum = 0;
      for (int64_t k = 0; k < w.inputs; ++k) sum += row[static_cast<size_t>(k)] * Weight(w, o, k);
      if (params.bias != nullptr) sum += params.bias[o];
      if (params.add != nullptr) sum += params.add[r * params.add_stride + o];
      params.out[r * params.out_stride + o] = static_cast<float>(sum);
    }
  }
}

}  // namespace ssmd::kernels::reference
