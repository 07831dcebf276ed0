// The kernels in AVX2 and FMA.
#include "kernels/cpu/vec_avx2.h"
// After the lanes that they are written over:
#include "kernels/cpu/vec_math.h"
// then the kernels.
#include "kernels/cpu/conv_kernel.h"
#include "kernels/cpu/matmul_kernel.h"
#include "kernels/cpu/norm_kernel.h"
#include "kernels/cpu/scan_kernel.h"
#include "kernels/cpu/vocabulary_kernel.h"

namespace ssmd::kernels::cpu {

const KernelTable kAvx2Kernels = {
    NormalizeRow, MultiplyPanel, ConvSiluShare,     ScanBlock, LargestIfFinite,
    OffsetDivide, Exponentials,  SumOfExponentials, MayBeat,
};

}  // namespace ssmd::kernels::cpu
