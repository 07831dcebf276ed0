// The ceilings of a GPU, for programs that know devices alone. Without CUDA there is none.
//
// Thread-compatible.
#ifndef SSMD_TESTS_GPU_BENCH_GPU_PROBE_H_
#define SSMD_TESTS_GPU_BENCH_GPU_PROBE_H_

#include <memory>
#include <string>

#include "tests/gpu/bench/ceilings.h"

namespace ssmd::gpu_bench {

class GpuProbe {
 public:
  virtual ~GpuProbe() = default;

  // All of them, in some seconds. False, and why in *error.
  virtual bool Measure(const CeilingOptions& options, Ceilings* ceilings, std::string* error) = 0;
  // What reading its memory gives at this moment, in GB/s, found in some `milliseconds`.
  virtual double ReadGbPerSecond(double milliseconds) = 0;
};
// Null, and why in *error, where there is no such GPU. `megabytes` of it are read.
std::unique_ptr<GpuProbe> OpenGpuProbe(int ordinal, size_t megabytes, std::string* error);

}  // namespace ssmd::gpu_bench

#endif  // SSMD_TESTS_GPU_BENCH_GPU_PROBE_H_
