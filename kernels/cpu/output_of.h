// Where a share of a matrix product goes. Not for files compiled per ISA (inline code, see
// kernels/README.md).
#ifndef SSMD_KERNELS_CPU_OUTPUT_OF_H_
#define SSMD_KERNELS_CPU_OUTPUT_OF_H_

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cpu {

// The outputs of some panels, of the rows from `row` on.
inline ProductOutput OutputOf(const MatMulParams& params, Range panels, int64_t row) {
  const int64_t first = panels.begin * kPanelOutputs;
  ProductOutput to = {};
  to.outputs = std::min(params.w->outputs, panels.end * kPanelOutputs) - first;
  to.bias = params.bias != nullptr ? params.bias + first : nullptr;
  to.add = params.add != nullptr ? params.add + row * params.add_stride + first : nullptr;
  to.add_stride = params.add_stride;
  to.out = params.out + row * params.out_stride + first;
  to.out_stride = params.out_stride;
  return to;
}

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_OUTPUT_OF_H_
