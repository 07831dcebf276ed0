// The command line of kernels_bench.
#ifndef SSMD_TESTS_GPU_BENCH_OPTIONS_H_
#define SSMD_TESTS_GPU_BENCH_OPTIONS_H_

#include <string>
#include <vector>

#include "kernels/tensor.h"
#include "tests/gpu/bench/ceilings.h"
#include "tests/gpu/bench/shapes.h"
#include "tests/gpu/bench/timer.h"

namespace ssmd::gpu_bench {

struct Options {
  bool help = false;
  int device = 0;
  bool plain = false;
  bool without_wgmma = false;
  bool gemm = false;
  bool quick = false;
  std::string only;       // part of a figure's id; empty: all
  std::string json_file;  // empty: none
  std::vector<Shape> models;
  std::vector<kernels::WeightFormat> weights;
  std::vector<Load> loads;
  CeilingOptions ceilings;

  bool Wants(const std::string& id) const { return id.find(only) != std::string::npos; }
};

extern const char kHelp[];

// False, and why in *error.
bool ParseOptions(int argc, char** argv, Options* options, std::string* error);

}  // namespace ssmd::gpu_bench

#endif  // SSMD_TESTS_GPU_BENCH_OPTIONS_H_
