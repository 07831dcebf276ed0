#include "kernels/cuda/kernel_table.h"

#include <algorithm>

#include "kernels/cuda/fast_ops.h"
#include "kernels/cuda/plain_ops.h"

namespace ssmd::kernels::cuda {

KernelTable PlainKernels() {
  KernelTable table;
  table.mat_mul = [](const fast::ProductOptions&, Stream& stream, const MatMulParams& params,
                     std::byte* scratch) { plain::MatMul(stream, params, scratch); };
  table.rms_norm = plain::RmsNorm;
  table.gated_rms_norm = plain::GatedRmsNorm;
  table.conv_step = table.conv_prompt = plain::ConvSilu;
  table.scan_step = table.scan_prompt = plain::SelectiveScan;
  table.ssd_step = table.ssd_prompt = table.ssd_chunks = plain::SsdScan;
  return table;
}

KernelTable FastKernels() {
  KernelTable table = PlainKernels();
  table.mat_mul = fast::MatMulWith;
  table.rms_norm = fast::RmsNorm;
  table.gated_rms_norm = fast::GatedRmsNorm;
  table.conv_step = fast::ConvStep;
  table.scan_step = fast::ScanStep;
  table.scan_prompt = fast::ScanPrompt;
  table.ssd_step = table.ssd_prompt = fast::SsdStep;
  table.ssd_chunks = fast::SsdPrompt;
  return table;
}

KernelTable ChosenKernels(const KernelChoice& choice, const KernelTable& fast,
                          const KernelTable& plain) {
  const auto of = [&](FastKernel kernel) -> const KernelTable& {
    return choice.has(kernel) ? fast : plain;
  };
  KernelTable table;
  table.mat_mul = of(FastKernel::kProduct).mat_mul;
  table.rms_norm = of(FastKernel::kNorm).rms_norm;
  table.gated_rms_norm = of(FastKernel::kNorm).gated_rms_norm;
  table.conv_step = of(FastKernel::kConv).conv_step;
  table.conv_prompt = of(FastKernel::kConv).conv_prompt;
  table.scan_step = of(FastKernel::kScan).scan_step;
  table.scan_prompt = of(FastKernel::kScan).scan_prompt;
  table.ssd_step = of(FastKernel::kSsd).ssd_step;
  table.ssd_prompt = of(FastKernel::kSsd).ssd_prompt;
  table.ssd_chunks = of(FastKernel::kSsd).ssd_chunks;
  table.mamba_layer = fast.mamba_layer;
  table.mamba2_layer = fast.mamba2_layer;
  return table;
}

size_t ProductScratch(int64_t rows, const PackedMatrix& w) {
  return std::max(plain::RoundedRowBytes(rows, w.inputs), fast::ProductScratchBytes(rows, w));
}

}  // namespace ssmd::kernels::cuda
