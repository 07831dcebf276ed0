// All kernels over the lanes of the vec_*.h and dot_*.h included before, as a table. Internal
// linkage.
#ifndef SSMD_KERNELS_CPU_ALL_KERNELS_H_
#define SSMD_KERNELS_CPU_ALL_KERNELS_H_

#include "kernels/cpu/state_kernel.h"
#include "kernels/cpu/vec_math.h"
// After the exponentials and states that they use:
#include "kernels/cpu/complex_kernel.h"
#include "kernels/cpu/conv_kernel.h"
#include "kernels/cpu/dense_kernel.h"
#include "kernels/cpu/difference_kernel.h"
#include "kernels/cpu/gated_norm_kernel.h"
#include "kernels/cpu/group_norm_kernel.h"
#include "kernels/cpu/matmul_kernel.h"
#include "kernels/cpu/modal_kernel.h"
#include "kernels/cpu/norm_kernel.h"
#include "kernels/cpu/pointwise_kernel.h"
#include "kernels/cpu/quantised_kernel.h"
#include "kernels/cpu/rotate_kernel.h"
#include "kernels/cpu/scan_kernel.h"
#include "kernels/cpu/ssd_kernel.h"
#include "kernels/cpu/token_shift_kernel.h"
#include "kernels/cpu/vocabulary_kernel.h"
#include "kernels/cpu/wkv4_kernel.h"
#include "kernels/cpu/wkv6_kernel.h"
#include "kernels/cpu/wkv7_kernel.h"
// After the recurrences that they share:
#include "kernels/cpu/legs_kernel.h"
#include "kernels/cpu/ssd_chunk_kernel.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr KernelTable kKernels = {
    NormalizeRow,   MultiplyPlain,  QuantiseRow,       MultiplyQuantised,
    ConvSiluShare,  ScanBlock,      SsdScanShare,      SsdGroupProducts,
    SsdScanChunks,  ModalScanShare, ComplexScanShare,  DifferenceScanShare,
    DenseScanShare, LegsScanShare,  NormalizeGated,    NormalizeGroup,
    ApplyPointwise, ShiftTokens,    RotateHeads,       Wkv4Scan,
    Wkv6Scan,       Wkv7Scan,       LargestIfFinite,   OffsetDivide,
    Exponentials,   RoundToMasses,  SumOfExponentials, NextThatMayBeat,
    NextAbove,      nullptr,        nullptr,           kByteParts,
    kDotRows,
};

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_ALL_KERNELS_H_
