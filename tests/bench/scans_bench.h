// The recurrences of kernels/linear_ops.h by themselves, in layers of a usual size: a token at a
// time, whose states and coefficients come from memory, and prompts, which are bound by arithmetic.
#ifndef SSMD_TESTS_BENCH_SCANS_BENCH_H_
#define SSMD_TESTS_BENCH_SCANS_BENCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "tests/bench/machine_probe.h"

namespace ssmd::bench {

struct ScansOptions {
  kernels::Isa isa = kernels::Isa::kScalar;
  int threads = 1;
  int64_t prompt = 512;     // tokens
  int64_t megabytes = 256;  // of layers that single tokens go through in turn
  double seconds = 0.02;    // of a run
  int repeats = 15;         // the best counts
};

struct ScanTime {
  std::string op;
  int64_t tokens = 0;
  double us = 0;
  double gb_s = 0;     // of coefficients, states, inputs and outputs, each once
  double gflop_s = 0;  // in f32; an operation in f64 counts as two
  double fraction_of_floor = 0;
};

struct ScansResult {
  double read_gb_s = 0;  // of the machine, and its peak
  double fma_gflop_s = 0;
  std::vector<ScanTime> times;
};

ScansResult MeasureScans(const ScansOptions& options, const MachineProbe& probe);

std::string ToJson(const ScansResult& result);
// A table for people.
std::string ToText(const ScansResult& result);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_SCANS_BENCH_H_
