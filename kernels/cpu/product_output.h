// What every matrix product does with its sums. Include after a vec_*.h and vec_math.h. Internal
// linkage.
#ifndef SSMD_KERNELS_CPU_PRODUCT_OUTPUT_H_
#define SSMD_KERNELS_CPU_PRODUCT_OUTPUT_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int64_t kRun = 512;  // kReductionRun of ops.h

// Bias, residual and the store of 16 outputs of a row, `column` being the first of them.
inline void Finish(const ProductOutput& to, int64_t row, int64_t column, F16 sum) {
  const int64_t n = to.outputs - column;
  if (to.bias != nullptr) sum = sum + LoadPartial(to.bias + column, n, 0);
  if (to.add != nullptr) sum = sum + LoadPartial(to.add + row * to.add_stride + column, n, 0);
  StorePartial(to.out + row * to.out_stride + column, sum, n);
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_PRODUCT_OUTPUT_H_
