// The CUDA device of a build without CUDA.
#include "kernels/device.h"

namespace ssmd::kernels {

std::unique_ptr<Device> MakeCudaDevice(const CudaOptions& /*options*/, std::string* error) {
  *error =
      "this ssmd was built without CUDA; build it with the `cuda` preset, where the CUDA toolkit "
      "is "
      "installed";
  return nullptr;
}

}  // namespace ssmd::kernels
