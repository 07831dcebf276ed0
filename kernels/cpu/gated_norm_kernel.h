// Gated RMS norm of one group of a row. Include after a vec_*.h and vec_math.h. Internal linkage.
#ifndef SSMD_KERNELS_CPU_GATED_NORM_KERNEL_H_
#define SSMD_KERNELS_CPU_GATED_NORM_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/norm_kernel.h"

namespace ssmd::kernels::cpu {
namespace {

inline F16 GatedColumns(const GatedNormGroup& g, int64_t c) {
  const int64_t n = g.cols - c;
  return LoadPartial(g.x + c, n, 0) * Silu(LoadPartial(g.gate + c, n, 0));
}

void NormalizeGated(const GatedNormGroup& g) {
  // First what is to be normalised, or the result where nothing is, with its squares.
  F16 squares = Broadcast(0);
  for (int64_t c = 0; c < g.cols; c += kLanes) {
    const int64_t n = g.cols - c;
    const F16 value = g.gate_first ? GatedColumns(g, c) : LoadPartial(g.x + c, n, 0);
    squares = Fma(value, value, squares);
    StorePartial(g.out + c, value, n);
  }
  if (!g.normalise) return;
  float lanes[kLanes];
  Store(lanes, squares);
  const float mean = SumLanes(lanes) / static_cast<float>(g.cols);
  const F16 scale = Broadcast(1.0f / __builtin_sqrtf(mean + g.eps));

  for (int64_t c = 0; c < g.cols; c += kLanes) {
    const int64_t n = g.cols - c;
    F16 out = LoadPartial(g.out + c, n, 0) * scale;
    if (g.weight != nullptr) out = out * LoadPartial(g.weight + c, n, 0);
    if (!g.gate_first) out = out * Silu(LoadPartial(g.gate + c, n, 0));
    StorePartial(g.out + c, out, n);
  }
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_GATED_NORM_KERNEL_H_
