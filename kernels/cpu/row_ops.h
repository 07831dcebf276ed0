// How the ops of kernels/row_ops.h are cut into shares for the threads.
#ifndef SSMD_KERNELS_CPU_ROW_OPS_H_
#define SSMD_KERNELS_CPU_ROW_OPS_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/row_ops.h"

namespace ssmd::kernels::cpu {

// A share is a group of a row: rows · groups in all.
void RunGroupNormShares(const KernelTable& kernels, const GroupNormParams& params, Range shares);

// A share is some neighbouring columns of a row.
int64_t PointwiseShareCount(const PointwiseParams& params);
void RunPointwiseShares(const KernelTable& kernels, const PointwiseParams& params, Range shares);

// A share is up to kChannelBlock channels of a segment; segments vary fastest (ssd.h says why).
int64_t TokenShiftShareCount(const TokenShiftParams& params);
void RunTokenShiftShares(const KernelTable& kernels, const TokenShiftParams& params, Range shares);

// A share is a token of the segments, one after the other.
void RunRotateShares(const KernelTable& kernels, const RotateParams& params, Range shares);

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_ROW_OPS_H_
