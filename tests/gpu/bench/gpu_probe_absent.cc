// Of a build without CUDA.
#include "kernels/device.h"
#include "tests/gpu/bench/gpu_probe.h"

namespace ssmd::gpu_bench {

std::unique_ptr<GpuProbe> OpenGpuProbe(int ordinal, size_t /*megabytes*/, std::string* error) {
  // The device has the words for it.
  if (kernels::MakeCudaDevice({ordinal}, error) != nullptr) *error = "there is no probe for it";
  return nullptr;
}

}  // namespace ssmd::gpu_bench
