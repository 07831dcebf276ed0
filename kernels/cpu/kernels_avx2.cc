// The kernels in AVX2, FMA and F16C.
#include "kernels/cpu/vec_avx2.h"
// After the lanes:
#include "kernels/cpu/dot_avx2.h"
#include "kernels/cpu/registers_avx2.h"
// then the kernels, which are written over both.
#include "kernels/cpu/all_kernels.h"

namespace ssmd::kernels::cpu {

const KernelTable kAvx2Kernels = kKernels;

}  // namespace ssmd::kernels::cpu
