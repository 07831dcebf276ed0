// A GPU as a Device: its memory as Buffers, ops as kernels on one stream.
#ifndef SSMD_KERNELS_CUDA_CUDA_DEVICE_H_
#define SSMD_KERNELS_CUDA_CUDA_DEVICE_H_

#include <memory>
#include <string>

#include "kernels/cuda/kernel_table.h"
#include "kernels/device.h"

namespace ssmd::kernels::cuda {

// MakeCudaDevice (device.h) with other kernels than FastKernels() in their place.
std::unique_ptr<Device> MakeDeviceOf(const CudaOptions& options, const KernelTable& fast,
                                     std::string* error);

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_CUDA_DEVICE_H_
