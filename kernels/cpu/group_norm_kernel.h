// A norm with a mean, of one group of a row. Include after a vec_*.h and vec_math.h. Internal
// linkage.
#ifndef SSMD_KERNELS_CPU_GROUP_NORM_KERNEL_H_
#define SSMD_KERNELS_CPU_GROUP_NORM_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/norm_kernel.h"

namespace ssmd::kernels::cpu {
namespace {

inline float MeanOf(F16 sums, int64_t cols) {
  float lanes[kLanes];
  Store(lanes, sums);
  return SumLanes(lanes) / static_cast<float>(cols);
}

void NormalizeGroup(const GroupNormGroup& group) {
  F16 sum = Broadcast(0);
  for (int64_t c = 0; c < group.cols; c += kLanes) {
    sum = sum + LoadPartial(group.x + c, group.cols - c, 0);
  }
  const float mean = MeanOf(sum, group.cols);
  const F16 middle = Broadcast(mean);

  F16 squares = Broadcast(0);
  for (int64_t c = 0; c < group.cols; c += kLanes) {
    const F16 distance = LoadPartial(group.x + c, group.cols - c, mean) - middle;
    squares = Fma(distance, distance, squares);
  }
  const float variance = MeanOf(squares, group.cols);
  const F16 scale = Broadcast(1.0f / __builtin_sqrtf(variance + group.eps));

  for (int64_t c = 0; c < group.cols; c += kLanes) {
    const int64_t n = group.cols - c;
    const F16 value = (LoadPartial(group.x + c, n, mean) - middle) * scale;
    const F16 weight = group.weight != nullptr ? LoadPartial(group.weight + c, n, 0) : Broadcast(1);
    const F16 bias = group.bias != nullptr ? LoadPartial(group.bias + c, n, 0) : Broadcast(0);
    StorePartial(group.out + c, Fma(value, weight, bias), n);
  }
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_GROUP_NORM_KERNEL_H_
