// A kernel on its way to a stream of the CUDA runtime: what Launch (simt_cuda.h) hands to
// runtime.cc.
#ifndef SSMD_KERNELS_CUDA_KERNEL_CALL_H_
#define SSMD_KERNELS_CUDA_KERNEL_CALL_H_

#include <cstddef>

#include "kernels/cuda/grid.h"
#include "kernels/cuda/runtime.h"

namespace ssmd::kernels::cuda {

struct KernelCall {
  const char* name;
  const void* entry;
  Grid grid;
  int threads;
  size_t shared_bytes;
  bool overlaps;  // may begin before earlier kernels end (simt.h)
  void** args;
};
void Enqueue(Stream& stream, const KernelCall& call);

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_KERNEL_CALL_H_
