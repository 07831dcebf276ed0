#include <cmath>

#include "kernels/reference/ops.h"

namespace ssmd::kernels::reference {
namespace {

// Columns [begin, end) of a row: one group.
void NormalizeGroup(const GatedRmsNormParams& params, int64_t row, int64_t begin, int64_t end) {
  const float* x = params.x + row * params.x_stride;
  const float* gate = params.gate + row * params.gate_stride;
  float* out = params.out + row * params.out_stride;
  const bool gate_first = params.order == GateOrder::kGateFirst;

  double root = 1;
  if (params.order != GateOrder::kGateOnly) {
    double squares = 0;
    for (int64_t c = begin; c < end; ++c) {
      const double value = x[c] * (gate_first ? Silu(gate[c]) : 1.0);
      squares += value * value;
    }
    root = std::sqrt(squares / static_cast<double>(end - begin) + double{params.eps});
  }
  const bool weighted = params.order != GateOrder::kGateOnly && params.weight != nullptr;
  for (int64_t c = begin; c < end; ++c) {
    const double weight = weighted ? params.weight[c] : 1.0;
    out[c] = static_cast<float>(x[c] * Silu(gate[c]) / root * weight);
  }
}

}  // namespace

void GatedRmsNorm(const GatedRmsNormParams& params) {
  const int64_t width = params.cols / params.groups;
  for (int64_t row = 0; row < params.rows; ++row) {
    for (int64_t group = 0; group < params.groups; ++group) {
      NormalizeGroup(params, row, group * width, (group + 1) * width);
    }
  }
}

}  // namespace ssmd::kernels::reference
