// A GPU that is measured: its ceilings, and a probe that looks at it again.
#ifndef SSMD_TESTS_BENCH_OPENED_GPU_H_
#define SSMD_TESTS_BENCH_OPENED_GPU_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "tests/gpu/bench/gpu_probe.h"

namespace ssmd::bench {

struct OpenedGpu {
  std::unique_ptr<gpu_bench::GpuProbe> probe;
  gpu_bench::Ceilings ceilings;
};
// `megabytes` of a buffer; 0: as usual.
absl::StatusOr<OpenedGpu> OpenGpuForBench(int ordinal, int64_t megabytes);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_OPENED_GPU_H_
