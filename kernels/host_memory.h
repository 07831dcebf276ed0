// Host memory for the devices that live in it: 64-byte aligned (2 MiB, on huge pages where the
// system has them, for large buffers), zeroed. Usable from any thread.
#ifndef SSMD_KERNELS_HOST_MEMORY_H_
#define SSMD_KERNELS_HOST_MEMORY_H_

#include "kernels/tensor.h"

namespace ssmd::kernels {

// Empty when there is not enough memory. bytes > 0.
Buffer AllocateHost(size_t bytes);

// A matrix with its bytes copied to host memory.
PackedMatrix CopyPacked(const PackedBytes& packed);

}  // namespace ssmd::kernels

#endif  // SSMD_KERNELS_HOST_MEMORY_H_
