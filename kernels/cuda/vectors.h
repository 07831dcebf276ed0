// Sixteen bytes at a time: components by number, loads and stores, and when rows allow them.
#ifndef SSMD_KERNELS_CUDA_VECTORS_H_
#define SSMD_KERNELS_CUDA_VECTORS_H_

#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda {

// For numbers that are known when compiled.
SIMT_DEVICE float Component(const Floats4& v, int i) {
  return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}
SIMT_DEVICE float& Component(Floats4& v, int i) {
  return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}

SIMT_DEVICE Floats4 Load4(const float* from) { return *reinterpret_cast<const Floats4*>(from); }
SIMT_DEVICE Floats4 LoadReadOnly4(const float* from) {
  return LoadReadOnly(reinterpret_cast<const Floats4*>(from));
}
SIMT_DEVICE void Store4(float* to, const Floats4& v) { *reinterpret_cast<Floats4*>(to) = v; }

// Whether all rows of a matrix begin at 16 bytes. Null does.
inline bool RowsAligned16(const float* rows, int64_t stride) {
  return reinterpret_cast<uintptr_t>(rows) % 16 == 0 && stride % 4 == 0;
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_VECTORS_H_
