// The whole chunks of SsdScan's chunked form: one of its three parts, beside the tokens before and
// after them. Uses no scratch. REQUIRES: the tokens before a segment's first whole chunk are done.
#ifndef SSMD_KERNELS_CUDA_SSD_CHUNKS_H_
#define SSMD_KERNELS_CUDA_SSD_CHUNKS_H_

#include "kernels/cuda/runtime.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda {
namespace plain {
void SsdChunks(Stream& stream, const SsdScanParams& params);
}
namespace fast {
void SsdChunks(Stream& stream, const SsdScanParams& params);
}
}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_SSD_CHUNKS_H_
