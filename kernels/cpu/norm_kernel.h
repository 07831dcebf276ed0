// RMS norm of one row. Include after a vec_*.h and vec_math.h. Internal linkage.
#ifndef SSMD_KERNELS_CPU_NORM_KERNEL_H_
#define SSMD_KERNELS_CPU_NORM_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace ssmd::kernels::cpu {
namespace {

// The tree of every 16-lane sum: lane i takes lane i + 8, then i + 4, i + 2, i + 1.
template <typename T>
inline T SumLanes(T* lanes) {
#pragma GCC unroll 4
  for (int step = kLanes / 2; step > 0; step /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < step; ++i) lanes[i] += lanes[i + step];
  }
  return lanes[0];
}

void NormalizeRow(const NormRow& row) {
  F16 squares = Broadcast(0);
  for (int64_t c = 0; c < row.cols; c += kLanes) {
    const F16 x = LoadPartial(row.x + c, row.cols - c, 0);
    squares = Fma(x, x, squares);
  }
  float lanes[kLanes];
  Store(lanes, squares);
  const float mean = SumLanes(lanes) / static_cast<float>(row.cols);
  const F16 scale = Broadcast(1.0f / __builtin_sqrtf(mean + row.eps));

  for (int64_t c = 0; c < row.cols; c += kLanes) {
    const int64_t n = row.cols - c;
    F16 out = LoadPartial(row.x + c, n, 0) * scale;
    if (row.weight != nullptr) out = out * LoadPartial(row.weight + c, n, 0);
    StorePartial(row.out + c, out, n);
  }
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_NORM_KERNEL_H_
