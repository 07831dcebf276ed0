// The kernels in NEON.
#include "kernels/cpu/vec_neon.h"
// After the lanes:
#include "kernels/cpu/dot_neon.h"
#include "kernels/cpu/registers_whole.h"
// then the kernels, which are written over both.
#include "kernels/cpu/all_kernels.h"

namespace ssmd::kernels::cpu {

const KernelTable kNeonKernels = kKernels;

}  // namespace ssmd::kernels::cpu
