// Ops fused with their neighbours in a layer: the bits of the fast ops one by one (fast_ops.h,
// product_fast.h), in fewer launches. mamba_layer.h says which go together.
//
// Takes…() and Rounds…() are true where the fast op does not leave a shape to its plain twin: what
// is fused is of such shapes alone. An op that ends in "Rounded" puts its output, rounded, to where
// a product takes it, and not to `out` or `y`.
#ifndef SSMD_KERNELS_CUDA_FUSED_OPS_H_
#define SSMD_KERNELS_CUDA_FUSED_OPS_H_

#include "kernels/cuda/product_fast.h"
#include "kernels/cuda/rounded_rows.h"
#include "kernels/cuda/runtime.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda::fast {

bool TakesRmsNorm(const RmsNormParams& params);
void RmsNormRounded(Stream& stream, const RmsNormParams& params, const RoundedRows& to);

// False too where groups of columns cut blocks of inputs (layout.h).
bool RoundsGatedRmsNorm(const GatedRmsNormParams& params);
void GatedRmsNormRounded(Stream& stream, const GatedRmsNormParams& params, const RoundedRows& to);

// `out` is written as well: the recurrence reads it. REQUIRES: every segment is one token.
bool TakesConvStep(const ConvSiluParams& params);
void ConvStepRounded(Stream& stream, const ConvSiluParams& params, const RoundedRows& to);

// ScanStep with the product that makes its Δ: `scan.dt` is not looked at.
struct ScanWithDelta {
  SelectiveScanParams scan;
  MatMulParams dt_proj;  // not its `out`
  // Weightless norms of dt_proj.x, scan.b and scan.c; rows is 0 where there are none.
  RmsNormParams dt_norm, b_norm, c_norm;
  RoundedRows rounded;  // or no rows: y is written
};
bool TakesScanWithDelta(const ScanWithDelta& params);
// REQUIRES: every segment is one token.
void ScanStepWithDelta(Stream& stream, const ScanWithDelta& params, ProductUnit unit);

}  // namespace ssmd::kernels::cuda::fast

#endif  // SSMD_KERNELS_CUDA_FUSED_OPS_H_
