// The recurrences that no bundled model has, by themselves, on the CPU: what a token of a session
// costs, whose state is nowhere near, and a prompt of 512.
#ifndef SSMD_TESTS_BENCH_OPS_BENCH_H_
#define SSMD_TESTS_BENCH_OPS_BENCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "tests/bench/machine_probe.h"

namespace ssmd::bench {

struct OpsOptions {
  kernels::Isa isa = kernels::Isa::kScalar;
  int threads = 1;
  int repeats = 5;  // a fifth of a second each; the best counts
};

// The best of an op, beside what the machine did in the same seconds.
struct OpFigures {
  std::string op;
  int64_t tokens = 0;  // of one segment
  double microseconds = 0;
  double gb_s = 0;         // of states, read and written
  double read_gb_s = 0;    // a plain read
  double gflop_s = 0;      // multiplications, additions and multiply-adds, each as two
  double fma_gflop_s = 0;  // multiply-adds alone
};

// Empty where there was no memory for as many states as fill the probe's buffer.
std::vector<OpFigures> MeasureOps(const OpsOptions& options, const MachineProbe& probe);

// A JSON array of the above.
std::string ToJson(const std::vector<OpFigures>& figures);
// A line each, for people.
std::string ToText(const std::vector<OpFigures>& figures);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_OPS_BENCH_H_
