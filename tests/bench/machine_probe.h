// What the machine does at this moment: the read bandwidth of memory and the peaks of
// multiply-adds, each found in a fraction of a second.
//
// Machines that are shared do not keep still: a floor holds for a measurement if it was found in
// the same seconds. Not thread-safe.
#ifndef SSMD_TESTS_BENCH_MACHINE_PROBE_H_
#define SSMD_TESTS_BENCH_MACHINE_PROBE_H_

#include <cstdint>
#include <vector>

#include "kernels/device.h"
#include "kernels/tensor.h"
#include "tests/bench/roofline_loops.h"

namespace ssmd::bench {

class MachineProbe {
 public:
  // `megabytes` of a buffer that is read, on such pages as weights are on; 0: twice the last cache,
  // at least 1024.
  MachineProbe(kernels::Isa isa, int64_t megabytes);

  int64_t megabytes() const { return static_cast<int64_t>(buffer_.bytes() >> 20); }
  // The mean over some `seconds`, all `threads` together. 0 where there was no memory for a buffer.
  double ReadGbPerSecond(int threads, double seconds) const;
  double GopPerSecond(Arithmetic arithmetic, int threads, double seconds) const;

 private:
  const kernels::Isa isa_;
  const std::vector<int> cpus_;  // of the process when this was made
  const kernels::Buffer buffer_;
};

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_MACHINE_PROBE_H_
