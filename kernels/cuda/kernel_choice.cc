#include "kernels/cuda/kernel_choice.h"

#include <algorithm>

namespace ssmd::kernels::cuda {
namespace {

constexpr int kOldestMajor = 8;  // bf16 in tensor cores, asynchronous copies

}  // namespace

std::string_view NameOf(FastKernel kernel) {
  switch (kernel) {
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

KernelChoice::KernelChoice(const GpuFacts& gpu, bool plain)
    : fuses_(!plain), generation_(std::to_string(gpu.major) + "." + std::to_string(gpu.minor)) {
  on_.fill(!plain && gpu.major >= kOldestMajor);
}

std::string KernelChoice::Profile() const {
  if (std::none_of(on_.begin(), on_.end(), [](bool on) { return on; })) return "cuda/plain";
  std::string profile = "cuda/" + generation_;
  for (const FastKernel kernel : kFastKernels) {
    if (!has(kernel)) profile += "-" + std::string(NameOf(kernel));
  }
  return profile;
}

}  // namespace ssmd::kernels::cuda
