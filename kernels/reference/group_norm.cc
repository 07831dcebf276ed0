#include <cmath>

#include "kernels/reference/ops.h"

namespace ssmd::kernels::reference {
namespace {

// Columns [begin, end) of a row: one group.
void NormalizeGroup(const GroupNormParams& params, const float* x, float* out, int64_t begin,
                    int64_t end) {
  const auto cols = static_cast<double>(end - begin);
  double sum = 0;
  for (int64_t c = begin; c < end; ++c) sum += x[c];
  const double mean = sum / cols;
  double squares = 0;
  for (int64_t c = begin; c < end; ++c) squares += (x[c] - mean) * (x[c] - mean);
  const double root = std::sqrt(squares / cols + double{params.eps});
  for (int64_t c = begin; c < end; ++c) {
    const double weight = params.weight != nullptr ? params.weight[c] : 1.0;
    const double bias = params.bias != nullptr ? params.bias[c] : 0.0;
    out[c] = static_cast<float>((x[c] - mean) / root * weight + bias);
  }
}

}  // namespace

void GroupNorm(const GroupNormParams& params) {
  const int64_t width = params.cols / params.groups;
  for (int64_t r = 0; r < params.rows; ++r) {
    const int64_t i = params.row_index != nullptr ? params.row_index[r] : r;
    for (int64_t group = 0; group < params.groups; ++group) {
      NormalizeGroup(params, params.x + i * params.x_stride, params.out + r * params.out_stride,
                     group * width, (group + 1) * width);
    }
  }
}

}  // namespace ssmd::kernels::reference
