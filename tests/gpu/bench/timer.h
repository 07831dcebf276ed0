// How long work on a stream takes: by the GPU's own clock, several times, after warming up.
//
// Thread-compatible, as its stream.
#ifndef SSMD_TESTS_GPU_BENCH_TIMER_H_
#define SSMD_TESTS_GPU_BENCH_TIMER_H_

#include <functional>
#include <vector>

#include "kernels/cuda/runtime.h"

namespace ssmd::gpu_bench {

// The middle one of some runs (the lower of two), and the ends. All 0: not measured.
struct Spread {
  double median = 0;
  double lowest = 0;
  double highest = 0;
  int runs = 0;
};
Spread SpreadOf(std::vector<double> values);
// Of figures that are `amount` by a time.
Spread Rate(double amount, const Spread& time);

struct TimerOptions {
  int runs = 9;
  double run_ms = 20;        // a run repeats the work until it is as long as that
  double together_ms = 2e3;  // fewer runs, but three, where they would take longer together
};

class Timer {
 public:
  Timer(kernels::cuda::Stream& stream, const TimerOptions& options)
      : stream_(stream), options_(options) {}

  // Milliseconds of one piece of work, which `enqueue` puts on the stream.
  Spread OnGpu(const std::function<void()>& enqueue) const;
  // Likewise by the host's clock, of work that is done when `run` returns.
  Spread OnHost(const std::function<void()>& run) const;

 private:
  // `take(n)`: the milliseconds that n pieces take.
  Spread Measure(const std::function<double(int)>& take) const;

  kernels::cuda::Stream& stream_;
  const TimerOptions options_;
};

}  // namespace ssmd::gpu_bench

#endif  // SSMD_TESTS_GPU_BENCH_TIMER_H_
