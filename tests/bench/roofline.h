// What the machine can do: the best read bandwidth of memory and the best peaks of multiply-adds
// that were seen.
#ifndef SSMD_TESTS_BENCH_ROOFLINE_H_
#define SSMD_TESTS_BENCH_ROOFLINE_H_

#include <cstdint>
#include <string>

#include "kernels/device.h"
#include "tests/bench/machine_probe.h"

namespace ssmd::bench {

struct RooflineOptions {
  kernels::Isa isa = kernels::Isa::kScalar;
  int threads = 1;
  int repeats = 5;  // a tenth of a second each; the best counts
};

// Rates of one thread, and of all together.
struct Rates {
  double one = 0;
  double all = 0;
};

struct Roofline {
  std::string cpu;  // its name, as the system has it
  int cpus = 0;     // that this process may run on
  int threads = 0;
  kernels::Isa isa = kernels::Isa::kScalar;
  int64_t megabytes = 0;
  Rates read_gb_s;
  Rates fma_gflop_s;
  Rates bf16_gflop_s;
  bool bf16_dot = false;  // whether by instructions of its own; else fma_gflop_s
  Rates int8_gop_s;       // a product and a sum being two
  Rates int4_gop_s;
};

// The processor's name, as the system has it.
std::string CpuName();

Roofline MeasureRoofline(const RooflineOptions& options, const MachineProbe& probe);

// A JSON object of the above.
std::string ToJson(const Roofline& roofline);
// A few lines for people.
std::string ToText(const Roofline& roofline);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_ROOFLINE_H_
