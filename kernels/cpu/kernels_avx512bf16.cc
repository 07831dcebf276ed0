// The kernels in AVX-512 F, BW, DQ, VL, VNNI and BF16.
#include "kernels/cpu/vec_avx512.h"
// After the lanes:
#include "kernels/cpu/dot_avx512_bf16.h"
#include "kernels/cpu/dot_avx512_vnni.h"
#include "kernels/cpu/registers_whole.h"
// then the kernels, which are written over both,
#include "kernels/cpu/all_kernels.h"
// and those that only this instruction set has.
#include "kernels/cpu/rounded_kernel.h"

namespace ssmd::kernels::cpu {

const KernelTable kAvx512Bf16Kernels = WithRoundedProducts(kKernels);

}  // namespace ssmd::kernels::cpu
