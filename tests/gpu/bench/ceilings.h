// What a GPU can do at most, which everything else is held against: measured in the same run, as
// two of a kind differ, and one differs by its temperature.
#ifndef SSMD_TESTS_GPU_BENCH_CEILINGS_H_
#define SSMD_TESTS_GPU_BENCH_CEILINGS_H_

#include <string>

#include "kernels/cuda/runtime.h"
#include "tests/gpu/bench/timer.h"

namespace ssmd::gpu_bench {

struct Ceilings {
  std::string gpu;   // what it is
  Spread copy_gb_s;  // from its memory to its memory: bytes read and bytes written, together
  Spread read_gb_s;
  Spread to_gpu_gb_s;     // from pinned host memory
  Spread from_gpu_gb_s;   // and back
  Spread launch_us;       // from kernel to kernel of a stream, of kernels that do nothing
  Spread boundary_us;     // likewise in a graph
  Spread matrix_tflop_s;  // bf16; all 0 where it is not known
  std::string no_matrix;  // and why

  // The least milliseconds for bytes that are read once, and for those that are read and written
  // (counted once).
  double ReadMs(double bytes) const { return bytes * 1e-6 / ReadRate(); }
  double UpdateMs(double bytes) const { return 2 * bytes * 1e-6 / copy_gb_s.median; }
  // 0 where the peak is not known.
  double MultiplyMs(double flops) const {
    return matrix_tflop_s.median > 0 ? flops * 1e-9 / matrix_tflop_s.median : 0;
  }
  // The best that was seen of reading, in GB/s.
  double ReadRate() const {
    return read_gb_s.median > copy_gb_s.median ? read_gb_s.median : copy_gb_s.median;
  }
};

struct CeilingOptions {
  TimerOptions timer;
  size_t megabytes = 2048;    // of a buffer, of which there are two; more than caches hold by far
  double matrix_tflop_s = 0;  // taken as given where it is not 0
};
// Empty, and why in *error, where memory is short or the GPU failed.
bool MeasureCeilings(kernels::cuda::Gpu& gpu, kernels::cuda::Stream& stream,
                     const CeilingOptions& options, Ceilings* ceilings, std::string* error);

// A few lines for people, and a JSON object.
std::string ToText(const Ceilings& ceilings);
std::string ToJson(const Ceilings& ceilings);
std::string ToJson(const Spread& spread);

}  // namespace ssmd::gpu_bench

#endif  // SSMD_TESTS_GPU_BENCH_CEILINGS_H_
