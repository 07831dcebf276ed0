// Kernels for race_test.cc, right and wrong.
#ifndef SSMD_TESTS_SIMT_RACE_KERNEL_H_
#define SSMD_TESTS_SIMT_RACE_KERNEL_H_

#include <cstdint>

#include "kernels/cuda/runtime.h"

namespace ssmd::simt {

// to[i] = from[n − 1 − i] for n up to 1024, by shared memory; racy without the barrier.
void Reverse(kernels::cuda::Stream& stream, float* to, const float* from, int n, bool barrier);

}  // namespace ssmd::simt

#endif  // SSMD_TESTS_SIMT_RACE_KERNEL_H_
