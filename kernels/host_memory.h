// Host memory for the devices that live in it: 64-byte aligned (2 MiB, on huge pages where the
// system has them, for large buffers), zeroed. Usable from any thread.
#ifndef SSMD_KERNELS_HOST_MEMORY_H_
#define SSMD_KERNELS_HOST_MEMORY_H_

#include "kernels/tensor.h"

namespace ssmd::kernels {

inline constexpr size_t kHostAlignment = 64;
inline constexpr size_t kHugePage = size_t{2} << 20;
// Below this the rest of a huge page left empty would cost more than its TLB entries save.
inline constexpr size_t kHugeThreshold = 4 * kHugePage;

// Empty when there is not enough memory. bytes > 0.
Buffer AllocateHost(size_t bytes);

// Makes `buffer` one of at least `bytes`, whose contents are lost where it was smaller. False, and
// an empty one, when there is not enough memory.
bool GrowHost(Buffer& buffer, size_t bytes);

// A matrix with its bytes copied to `data`, which has room for them. An empty `data` stays empty.
PackedMatrix CopyPacked(const PackedBytes& packed, Buffer data);

}  // namespace ssmd::kernels

#endif  // SSMD_KERNELS_HOST_MEMORY_H_
