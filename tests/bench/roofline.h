// What the machine can do: the read bandwidth of memory and the peak of fused multiply-adds, which
// are the floors that a model's step is held against.
#ifndef SSMD_TESTS_BENCH_ROOFLINE_H_
#define SSMD_TESTS_BENCH_ROOFLINE_H_

#include <cstdint>
#include <string>

#include "kernels/device.h"

namespace ssmd::bench {

struct RooflineOptions {
  kernels::Isa isa = kernels::Isa::kScalar;
  int threads = 1;
  int64_t megabytes = 0;  // of the buffer that is read; 0: twice the last cache, at least 1024
  int repeats = 5;        // the best counts
};

struct Roofline {
  std::string cpu;  // its name, as the system has it
  int cpus = 0;     // that this process may run on
  int threads = 0;
  kernels::Isa isa = kernels::Isa::kScalar;
  int64_t megabytes = 0;
  double read_gb_s_1 = 0;  // one thread
  double read_gb_s = 0;    // all `threads`
  double fma_gflop_s_1 = 0;
  double fma_gflop_s = 0;
};

// The processor's name, as the system has it.
std::string CpuName();

Roofline MeasureRoofline(const RooflineOptions& options);

// A JSON object of the above.
std::string ToJson(const Roofline& roofline);
// A few lines for people.
std::string ToText(const Roofline& roofline);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_ROOFLINE_H_
