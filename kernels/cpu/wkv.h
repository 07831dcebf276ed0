// How the recurrences of RWKV (kernels/wkv_ops.h) are cut into shares for the threads. Segments
// vary fastest among them; ssd.h says why.
#ifndef SSMD_KERNELS_CPU_WKV_H_
#define SSMD_KERNELS_CPU_WKV_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/wkv_ops.h"

namespace ssmd::kernels::cpu {

// A share is up to kChannelBlock channels of a segment.
int64_t Wkv4ShareCount(const Wkv4Params& params);
void RunWkv4Shares(const KernelTable& kernels, const Wkv4Params& params, Range shares);

// A share is a head of a segment: segment_count · heads in all.
void RunWkv6Shares(const KernelTable& kernels, const Wkv6Params& params, Range shares);
void RunWkv7Shares(const KernelTable& kernels, const Wkv7Params& params, Range shares);

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_WKV_H_
