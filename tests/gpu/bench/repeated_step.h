// A step of sessions that stay where they are, for measurements.
#ifndef SSMD_TESTS_GPU_BENCH_REPEATED_STEP_H_
#define SSMD_TESTS_GPU_BENCH_REPEATED_STEP_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/device.h"
#include "tests/gpu/bench/shapes.h"

namespace ssmd::gpu_bench {

// The indices of a step that is run again and again, with the same sessions at the same place.
class RepeatedStep {
 public:
  // Empty where memory is short.
  static std::optional<RepeatedStep> Make(kernels::Device& device, const Load& load);

  kernels::StepIndices on_host() const;
  kernels::StepIndices on_device() const;

 private:
  std::vector<kernels::Segment> segments_;
  std::vector<int32_t> token_ids_, logit_rows_;
  kernels::Buffer device_segments_, device_token_ids_, device_logit_rows_;
};

}  // namespace ssmd::gpu_bench

#endif  // SSMD_TESTS_GPU_BENCH_REPEATED_STEP_H_
