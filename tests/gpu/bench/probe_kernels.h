// Kernels that show what a GPU can do at best.
#ifndef SSMD_TESTS_GPU_BENCH_PROBE_KERNELS_H_
#define SSMD_TESTS_GPU_BENCH_PROBE_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/runtime.h"

namespace ssmd::kernels::cuda::probe {

// Does nothing: what is left is the boundary between kernels.
void Empty(Stream& stream);

// Reads `bytes`, rounded down to whole kReadBytes, of memory that is aligned to 16 bytes. `sink` is
// a word that may be written.
inline constexpr size_t kReadBytes = 32768;
void Read(Stream& stream, const std::byte* from, size_t bytes, int multiprocessors, uint32_t* sink);

}  // namespace ssmd::kernels::cuda::probe

#endif  // SSMD_TESTS_GPU_BENCH_PROBE_KERNELS_H_
