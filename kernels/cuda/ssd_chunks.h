// The whole chunks of SsdScan's chunked form, plain: one of the three parts of plain::SsdScan.
#ifndef SSMD_KERNELS_CUDA_SSD_CHUNKS_H_
#define SSMD_KERNELS_CUDA_SSD_CHUNKS_H_

#include "kernels/cuda/runtime.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda::plain {

// REQUIRES: the tokens before a segment's first whole chunk are done. Uses no scratch.
void SsdChunks(Stream& stream, const SsdScanParams& params);

}  // namespace ssmd::kernels::cuda::plain

#endif  // SSMD_KERNELS_CUDA_SSD_CHUNKS_H_
