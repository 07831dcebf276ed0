// Kernels for a GPU of today, each beside a plain twin (plain_ops.h) with the same params. They
// round, approximate and add in orders of their own, within a tolerance that each one states; what
// a row or segment gives still never depends on others, and they refuse no shape: what one of them
// is not made for goes to the twin, by the shape alone.
//
// Each puts its work on a stream and returns. Pointers are device memory; states are 16-byte
// aligned.
#ifndef SSMD_KERNELS_CUDA_FAST_OPS_H_
#define SSMD_KERNELS_CUDA_FAST_OPS_H_

#include "kernels/cuda/runtime.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda::fast {

// The Mamba-1 recurrence. ScanStep takes segments of one token, ScanPrompt of any length, and both
// give the same bits: a prompt may be cut anywhere. Outputs and states are within 2e-6 of double
// precision, drift over 8,192 tokens included (5e-6 where Δ is always 1e-3, 1e-5 where it is 1e-4).
// REQUIRES of ScanStep: every segment is one token.
void ScanStep(Stream& stream, const SelectiveScanParams& params);
void ScanPrompt(Stream& stream, const SelectiveScanParams& params);

// The Mamba-2 recurrence step by step, of segments of any length, which may be cut anywhere. States
// have the plain op's bits, outputs are within 2e-6 of double precision. `chunk_scratch` is not
// looked at.
void SsdStep(Stream& stream, const SsdScanParams& params);

// Convolution and SiLU, with the plain op's bits. REQUIRES: every segment is one token.
void ConvStep(Stream& stream, const ConvSiluParams& params);

// Within 1e-6 of the row's largest.
void RmsNorm(Stream& stream, const RmsNormParams& params);
void GatedRmsNorm(Stream& stream, const GatedRmsNormParams& params);

}  // namespace ssmd::kernels::cuda::fast

#endif  // SSMD_KERNELS_CUDA_FAST_OPS_H_
