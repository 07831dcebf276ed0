// Which of the compiled instruction sets this machine runs (device.h: SupportedIsas), and the
// kernels of each.
#ifndef SSMD_KERNELS_CPU_ISA_H_
#define SSMD_KERNELS_CPU_ISA_H_

#include "kernels/cpu/kernel_table.h"
#include "kernels/device.h"

namespace ssmd::kernels::cpu {

// REQUIRES: `isa` is in SupportedIsas().
const KernelTable& KernelsFor(Isa isa);

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_ISA_H_
