// The peak of matrix products in bf16, by NVIDIA's own library, which is loaded where it is found:
// nothing of it is needed to build.
#ifndef SSMD_TESTS_GPU_BENCH_MATRIX_PEAK_H_
#define SSMD_TESTS_GPU_BENCH_MATRIX_PEAK_H_

#include <string>

#include "kernels/cuda/runtime.h"
#include "tests/gpu/bench/timer.h"

namespace ssmd::gpu_bench {

// TFLOP/s of a product of two square matrices of random numbers, 8,192 on a side, with sums in f32.
// All 0, and why in *why_not, where it cannot be measured.
Spread MeasureMatrixPeak(kernels::cuda::Gpu& gpu, kernels::cuda::Stream& stream, const Timer& timer,
                         std::string* why_not);

}  // namespace ssmd::gpu_bench

#endif  // SSMD_TESTS_GPU_BENCH_MATRIX_PEAK_H_
