#include <cmath>
#include <limits>

#include "kernels/reference/ops.h"

namespace ssmd::kernels::reference {
namespace {

// The limit at −∞, where x · Φ(x) would be a NaN.
double Gelu(double x) {
  if (x == -std::numeric_limits<double>::infinity()) return 0;
  return x * std::erfc(-x / std::sqrt(2.0)) / 2;
}

double ValueOf(PointwiseFunction function, double x, double y) {
  switch (function) {
    case PointwiseFunction::kGelu:
      return Gelu(x);
    case PointwiseFunction::kSquaredRelu:
      return x <= 0 ? 0 : x * x;
    case PointwiseFunction::kTanh:
      return std::tanh(x);
    case PointwiseFunction::kSigmoid:
      return Sigmoid(x);
    case PointwiseFunction::kGlu:
      return x * Sigmoid(y);
    case PointwiseFunction::kMultiply:
      return x * y;
  }
  return 0;
}

}  // namespace

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

void Pointwise(const PointwiseParams& params) {
  for (int64_t row = 0; row < params.rows; ++row) {
    for (int64_t c = 0; c < params.cols; ++c) {
      double x = params.x[row * params.x_stride + c];
      if (params.bias != nullptr) x += params.bias[c];
      const double y = params.y != nullptr ? params.y[row * params.y_stride + c] : 0;
      const double add = params.add != nullptr ? params.add[row * params.add_stride + c] : 0;
      params.out[row * params.out_stride + c] =
          static_cast<float>(ValueOf(params.function, x, y) + add);
    }
  }
}

}  // namespace ssmd::kernels::reference
