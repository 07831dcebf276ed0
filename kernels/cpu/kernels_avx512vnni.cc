// The kernels in AVX-512 F, BW, DQ, VL and VNNI.
#include "kernels/cpu/vec_avx512.h"
// After the lanes:
#include "kernels/cpu/dot_avx512_vnni.h"
#include "kernels/cpu/registers_whole.h"
// then the kernels, which are written over both.
#include "kernels/cpu/all_kernels.h"

namespace ssmd::kernels::cpu {

const KernelTable kAvx512VnniKernels = kKernels;

}  // namespace ssmd::kernels::cpu
