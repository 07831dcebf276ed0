// The speeds that ssmd promises on an H100, each held against what was measured.
#ifndef SSMD_TESTS_GPU_BENCH_ACCEPTANCE_H_
#define SSMD_TESTS_GPU_BENCH_ACCEPTANCE_H_

#include <string>

#include "tests/gpu/bench/figures.h"

namespace ssmd::gpu_bench {

// A line for each: met, missed or not measured. With what other programs have to measure.
std::string AcceptanceText(const Figures& figures);
// An array; `met` is null where it was not measured.
std::string AcceptanceJson(const Figures& figures);

}  // namespace ssmd::gpu_bench

#endif  // SSMD_TESTS_GPU_BENCH_ACCEPTANCE_H_
