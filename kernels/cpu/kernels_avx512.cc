// The kernels in AVX-512 F, BW, DQ and VL.
#include "kernels/cpu/vec_avx512.h"
// After the lanes:
#include "kernels/cpu/dot_avx512_madd.h"
#include "kernels/cpu/registers_whole.h"
// then the kernels, which are written over both.
#include "kernels/cpu/all_kernels.h"

namespace ssmd::kernels::cpu {

const KernelTable kAvx512Kernels = kKernels;

}  // namespace ssmd::kernels::cpu
