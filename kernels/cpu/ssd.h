// How the ops of Mamba-2 (ops.h) are cut into shares for the threads.
#ifndef SSMD_KERNELS_CPU_SSD_H_
#define SSMD_KERNELS_CPU_SSD_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cpu {

// A share is up to 64 channels of a head of a segment. Segments vary fastest: a thread's range of
// shares then has heads of all of them, and a long prompt beside many streams is shared out evenly.
//
// In the chunked form the shares of the chunks come first: a share is a group of a whole chunk of a
// segment, and makes what the heads of the group then read.
int64_t SsdChunkShareCount(const SsdScanParams& params);  // 0 where no segment has a whole chunk
void RunSsdChunkShares(const KernelTable& kernels, const SsdScanParams& params, Range shares);
int64_t SsdShareCount(const SsdScanParams& params);
void RunSsdShares(const KernelTable& kernels, const SsdScanParams& params, Range shares);

// A share is a group of a row: rows · groups in all.
void RunGatedNormShares(const KernelTable& kernels, const GatedRmsNormParams& params, Range shares);

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_SSD_H_
