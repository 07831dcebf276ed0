// Which of the fast kernels a device uses: those that its GPU can run and that gave what their
// plain twins give. Kernels whose bits must agree go together.
#ifndef SSMD_KERNELS_CUDA_KERNEL_CHOICE_H_
#define SSMD_KERNELS_CUDA_KERNEL_CHOICE_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/cuda/runtime.h"

namespace ssmd::kernels::cuda {

enum class FastKernel : uint8_t {
  kWgmma,    // of products: the instruction of compute capability 9.0; else that of 8.0
  kProduct,  // tensor cores
  kScan,     // Mamba-1: single tokens and prompts
  kSsd,      // Mamba-2
  kConv,     // of single tokens
  kNorm,     // with and without a gate
};
inline constexpr std::array kFastKernels = {FastKernel::kWgmma, FastKernel::kProduct,
                                            FastKernel::kScan,  FastKernel::kSsd,
                                            FastKernel::kConv,  FastKernel::kNorm};
std::string_view NameOf(FastKernel kernel);  // "product", …

class KernelChoice {
 public:
  // All that this GPU can run, or none. `wgmma`: whether that is among it.
  KernelChoice(const GpuFacts& gpu, bool wgmma, bool plain);

  bool has(FastKernel kernel) const { return on_[static_cast<size_t>(kernel)]; }
  void SwitchOff(FastKernel kernel) { on_[static_cast<size_t>(kernel)] = false; }

  // Whether ops of a layer go together (mamba_layer.h). Bits do not depend on it.
  bool fuses() const { return fuses_; }
  void SwitchOffFusion() { fuses_ = false; }

  // What the bits of a device depend on: "cuda/plain", or the generation of tensor cores and what
  // is switched off, as in "cuda/9.0-scan".
  std::string Profile() const;

 private:
  std::array<bool, kFastKernels.size()> offered_{}, on_{};
  bool fuses_;
  const std::string generation_;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_KERNEL_CHOICE_H_
