// A GPU as a Device: its memory as Buffers, ops as kernels on one stream.
//
// MakeCudaDevice (kernels/device.h) of what it is made of. For benchmarks: who keeps pointers to
// the GPU and the stream can record the device's ops, replay them and take the time, between calls
// of the device. For tests: fast kernels can be others, wrong ones too.
#ifndef SSMD_KERNELS_CUDA_CUDA_DEVICE_H_
#define SSMD_KERNELS_CUDA_CUDA_DEVICE_H_

#include <memory>
#include <string>

#include "kernels/cuda/kernel_table.h"
#include "kernels/cuda/runtime.h"
#include "kernels/device.h"

namespace ssmd::kernels::cuda {

// `stream` is one of `gpu`. Of the options, the ordinal is not looked at. Null, and why in *error,
// when the GPU fails, or the library that is asked for is not there.
std::unique_ptr<Device> MakeDeviceOf(std::unique_ptr<Gpu> gpu, std::unique_ptr<Stream> stream,
                                     const CudaOptions& options, std::string* error,
                                     const KernelTable& fast = FastKernels());

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_CUDA_DEVICE_H_
