#include "kernels/cuda/kernel_choice.h"

namespace ssmd::kernels::cuda {
namespace {

constexpr int kOldestMajor = 8;  // bf16 in tensor cores, asynchronous copies

}  // namespace

std::string_view NameOf(FastKernel kernel) {
  switch (kernel) {
    case FastKernel::kWgmma:
      return "wgmma";
    case FastKernel::kProduct:
      return "product";
    case FastKernel::kScan:
      return "scan";
    case FastKernel::kSsd:
      return "ssd";
    case FastKernel::kConv:
      return "conv";
    case FastKernel::kNorm:
      return "norm";
  }
  return "";
}

KernelChoice::KernelChoice(const GpuFacts& gpu, bool wgmma, bool plain)
    : fuses_(!plain), generation_(std::to_string(gpu.major) + "." + std::to_string(gpu.minor)) {
  offered_.fill(!plain && gpu.major >= kOldestMajor);
  if (!wgmma) offered_[static_cast<size_t>(FastKernel::kWgmma)] = false;
  on_ = offered_;
}

std::string KernelChoice::Profile() const {
  std::string profile = "cuda/" + generation_;
  bool all_off = true;
  for (const FastKernel kernel : kFastKernels) {
    // It is an instruction of products.
    if (kernel == FastKernel::kWgmma && !has(FastKernel::kProduct)) continue;
    const auto number = static_cast<size_t>(kernel);
    if (on_[number]) all_off = false;
    if (offered_[number] && !on_[number]) profile += "-" + std::string(NameOf(kernel));
  }
  return all_off ? "cuda/plain" : profile;
}

}  // namespace ssmd::kernels::cuda
