// Text without packages: printf into a string, and JSON strings.
#ifndef SSMD_TESTS_GPU_BENCH_TEXT_H_
#define SSMD_TESTS_GPU_BENCH_TEXT_H_

#include <string>

namespace ssmd::gpu_bench {

__attribute__((format(printf, 1, 2))) std::string Format(const char* format, ...);

// As JSON has it.
std::string Quoted(const std::string& text);

}  // namespace ssmd::gpu_bench

#endif  // SSMD_TESTS_GPU_BENCH_TEXT_H_
