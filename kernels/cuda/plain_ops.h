// The ops of kernels/ops.h as plain CUDA: no tensor cores, no PTX, no approximation. They give the
// bits of cpu/, with f32, bf16, q8 and q4 weights alike, and stay for good: old GPUs run them, they
// prove what the emulation proves, and a fast kernel that disagrees with its plain twin is not
// used.
//
// Each puts its work on a stream and returns. Params are those of the contract; pointers are
// device memory throughout.
#ifndef SSMD_KERNELS_CUDA_PLAIN_OPS_H_
#define SSMD_KERNELS_CUDA_PLAIN_OPS_H_

#include "kernels/cuda/runtime.h"
#include "kernels/linear_ops.h"
#include "kernels/memory_ops.h"
#include "kernels/ops.h"
#include "kernels/row_ops.h"
#include "kernels/wkv_ops.h"

namespace ssmd::kernels::cuda::plain {

// products (product_plain.cu, embed.cu)
void Embed(Stream& stream, const EmbedParams& params);
// With quantised weights the rows are rounded to int8 first: `codes` and `groups` are scratch for
// RoundedRowBytes(rows, inputs) bytes.
size_t RoundedRowBytes(int64_t rows, int64_t inputs);
void MatMul(Stream& stream, const MatMulParams& params, std::byte* rounded_rows);

// rows (norm.cu, gated_norm.cu)
void RmsNorm(Stream& stream, const RmsNormParams& params);
void GatedRmsNorm(Stream& stream, const GatedRmsNormParams& params);

// recurrences (conv.cu, selective_scan.cu, ssd_scan.cu, ssd_chunks.cu)
void ConvSilu(Stream& stream, const ConvSiluParams& params);
void SelectiveScan(Stream& stream, const SelectiveScanParams& params);
void SsdScan(Stream& stream, const SsdScanParams& params);

// linear recurrences (modal_scan.cu and its like)
void ModalScan(Stream& stream, const ModalScanParams& params);
void ComplexScan(Stream& stream, const ComplexScanParams& params);
void DifferenceScan(Stream& stream, const DifferenceScanParams& params);
void DenseScan(Stream& stream, const DenseScanParams& params);
void LegsScan(Stream& stream, const LegsScanParams& params);
// kernels/row_ops.h (group_norm.cu, pointwise.cu, token_shift.cu, rotate.cu)
void GroupNorm(Stream& stream, const GroupNormParams& params);
void Pointwise(Stream& stream, const PointwiseParams& params);
void TokenShift(Stream& stream, const TokenShiftParams& params);
void Rotate(Stream& stream, const RotateParams& params);

// kernels/wkv_ops.h (wkv4.cu, wkv6.cu, wkv7.cu)
void Wkv4(Stream& stream, const Wkv4Params& params);
void Wkv6(Stream& stream, const Wkv6Params& params);
void Wkv7(Stream& stream, const Wkv7Params& params);

// kernels/memory_ops.h (memory_scan.cu)
void MemoryScan(Stream& stream, const MemoryScanParams& params);

// draws (sample.cu, logprobs.cu): rows in device memory, with their adjustments; results are
// written there.
size_t SampleScratchBytes(int64_t rows, int64_t vocabulary);
void Sample(Stream& stream, int64_t vocabulary, SampleRow* rows, int64_t row_count,
            std::byte* scratch);
// `top` of each row is device memory.
void Logprobs(Stream& stream, int64_t vocabulary, LogprobRow* rows, int64_t row_count);

}  // namespace ssmd::kernels::cuda::plain

#endif  // SSMD_KERNELS_CUDA_PLAIN_OPS_H_
