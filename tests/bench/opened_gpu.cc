#include "tests/bench/opened_gpu.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace ssmd::bench {

absl::StatusOr<OpenedGpu> OpenGpuForBench(int ordinal, int64_t megabytes) {
  gpu_bench::CeilingOptions options;
  if (megabytes > 0) options.megabytes = static_cast<size_t>(megabytes);
  OpenedGpu gpu;
  std::string error;
  gpu.probe = gpu_bench::OpenGpuProbe(ordinal, options.megabytes, &error);
  if (gpu.probe != nullptr && gpu.probe->Measure(options, &gpu.ceilings, &error)) return gpu;
  return absl::FailedPreconditionError(absl::StrCat("--device cuda:", ordinal, ": ", error));
}

}  // namespace ssmd::bench
