// The launchers of a device's ops, so that it, its checks and its tests can be given others.
#ifndef SSMD_KERNELS_CUDA_KERNEL_TABLE_H_
#define SSMD_KERNELS_CUDA_KERNEL_TABLE_H_

#include <cstddef>
#include <functional>

#include "kernels/cuda/kernel_choice.h"
#include "kernels/cuda/mamba_layer.h"
#include "kernels/cuda/product_fast.h"
#include "kernels/cuda/runtime.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda {

template <typename Params>
using Launcher = void (*)(Stream& stream, const Params& params);

struct KernelTable {
  // `scratch` is of ProductScratch bytes.
  std::function<void(const fast::ProductOptions& options, Stream& stream,
                     const MatMulParams& params, std::byte* scratch)>
      mat_mul;
  Launcher<RmsNormParams> rms_norm = nullptr;
  Launcher<GatedRmsNormParams> gated_rms_norm = nullptr;
  // Of steps whose segments are a token each, and of others.
  Launcher<ConvSiluParams> conv_step = nullptr, conv_prompt = nullptr;
  Launcher<SelectiveScanParams> scan_step = nullptr, scan_prompt = nullptr;
  Launcher<SsdScanParams> ssd_step = nullptr, ssd_prompt = nullptr;
  Launcher<SsdScanParams> ssd_chunks = nullptr;  // of prompts with chunk_scratch
  // Ops that go together; of what ops are chosen.
  void (*mamba_layer)(const LayerTools& tools, const MambaLayerParams& params) = RunMambaLayer;
  void (*mamba2_layer)(const LayerTools& tools, const Mamba2LayerParams& params) = RunMamba2Layer;
};

KernelTable PlainKernels();
// Where an op has no fast kernel its plain one.
KernelTable FastKernels();
// Those of `fast` that are chosen; where one is off those of `plain`.
KernelTable ChosenKernels(const KernelChoice& choice, const KernelTable& fast,
                          const KernelTable& plain);

// Scratch of a product of so many rows, whichever kernel makes it.
size_t ProductScratch(int64_t rows, const PackedMatrix& w);

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_KERNEL_TABLE_H_
