// What the machine can do: the read bandwidth of memory and the peaks of multiply-adds, which
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
  double int8_gop_s_1 =
      0;  // exact sums of products of 8-bit integers, a product and a sum being two
  double int8_gop_s = 0;

  // The peak that matrix products with weights kept as `weights` are held against.
  double peak_gop_s(const std::string& weights) const {
    return weights == "q8" || weights == "q4" ? int8_gop_s : fma_gflop_s;
  }
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
