// Activations and gates, over some columns of a row. Include after a vec_*.h and vec_math.h.
// Internal linkage.
#ifndef SSMD_KERNELS_CPU_POINTWISE_KERNEL_H_
#define SSMD_KERNELS_CPU_POINTWISE_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace ssmd::kernels::cpu {
namespace {

// f(x, column) of each line of 16 columns.
template <typename Function>
inline void ForColumns(const PointwiseColumns& in, const Function& f) {
  for (int64_t c = 0; c < in.cols; c += kLanes) {
    const int64_t n = in.cols - c;
    F16 x = LoadPartial(in.x + c, n, 0);
    if (in.bias != nullptr) x = x + LoadPartial(in.bias + c, n, 0);
    F16 result = f(x, c);
    if (in.add != nullptr) result = result + LoadPartial(in.add + c, n, 0);
    StorePartial(in.out + c, result, n);
  }
}

void ApplyPointwise(const PointwiseColumns& in) {
  switch (in.function) {
    case PointwiseKind::kGelu:
      return ForColumns(in, [](F16 x, int64_t /*column*/) { return Gelu(x); });
    case PointwiseKind::kSquaredRelu:
      return ForColumns(in, [](F16 x, int64_t /*column*/) {
        const F16 positive = Max(Broadcast(0), x);
        return positive * positive;
      });
    case PointwiseKind::kTanh:
      return ForColumns(in, [](F16 x, int64_t /*column*/) { return Tanh(x); });
    case PointwiseKind::kSigmoid:
      return ForColumns(in, [](F16 x, int64_t /*column*/) { return Sigmoid(x); });
    case PointwiseKind::kGlu:
      return ForColumns(in, [&](F16 x, int64_t column) {
        return x * Sigmoid(LoadPartial(in.y + column, in.cols - column, 0));
      });
    case PointwiseKind::kMultiply:
      return ForColumns(in, [&](F16 x, int64_t column) {
        return x * LoadPartial(in.y + column, in.cols - column, 0);
      });
  }
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_POINTWISE_KERNEL_H_
