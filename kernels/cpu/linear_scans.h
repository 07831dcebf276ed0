// How the ops of linear_ops.h are cut into shares for the threads.
#ifndef SSMD_KERNELS_CPU_LINEAR_SCANS_H_
#define SSMD_KERNELS_CPU_LINEAR_SCANS_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/linear_ops.h"

namespace ssmd::kernels::cpu {

// A share is a block of 64 channels (ComplexScan: modes) of a segment.
int64_t ShareCount(const ModalScanParams& params);
int64_t ShareCount(const ComplexScanParams& params);
int64_t ShareCount(const DifferenceScanParams& params);
int64_t ShareCount(const DenseScanParams& params);
// Of LegsScan as many blocks of a segment as leave `threads` shares: each makes the steps of its
// tokens for itself.
int64_t ShareCount(const LegsScanParams& params, int threads);

// Multiply-adds of a token, or the like.
int64_t OpsOfAToken(const ModalScanParams& params);
int64_t OpsOfAToken(const ComplexScanParams& params);
int64_t OpsOfAToken(const DifferenceScanParams& params);
int64_t OpsOfAToken(const DenseScanParams& params);
int64_t OpsOfAToken(const LegsScanParams& params);

void RunShares(const KernelTable& kernels, const ModalScanParams& params, Range shares);
void RunShares(const KernelTable& kernels, const ComplexScanParams& params, Range shares);
void RunShares(const KernelTable& kernels, const DifferenceScanParams& params, Range shares);
void RunShares(const KernelTable& kernels, const DenseScanParams& params, Range shares);
void RunShares(const KernelTable& kernels, const LegsScanParams& params, int threads, Range shares);

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_LINEAR_SCANS_H_
