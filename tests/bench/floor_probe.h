// What the machine that a model computes on can do at a moment, which its speed is held against.
//
// Not thread-safe.
#ifndef SSMD_TESTS_BENCH_FLOOR_PROBE_H_
#define SSMD_TESTS_BENCH_FLOOR_PROBE_H_

#include <memory>
#include <string>

#include "tests/bench/machine_probe.h"
#include "tests/gpu/bench/gpu_probe.h"

namespace ssmd::bench {

// Work that a floor is made of.
struct Work {
  double weight_bytes = 0;
  double state_bytes = 0;
  double body_flops = 0;
  double head_flops = 0;
};

struct Moment {
  double read_gb_s = 0;
  // Of what multiplies a model's format; 0: not known, and products take no time.
  double body_gop_s = 0;
  double head_gop_s = 0;

  // The least time for some work where everything overlaps, and where reading states overlaps with
  // nothing.
  double Floor(const Work& work) const;
  double FloorInTurn(const Work& work) const;
};

class FloorProbe {
 public:
  virtual ~FloorProbe() = default;

  // For a model whose weights are in that format. Takes a fraction of a second.
  virtual Moment Look(const std::string& weights) const = 0;
};

// `probe` outlives it.
std::unique_ptr<FloorProbe> MakeCpuFloorProbe(const MachineProbe& probe, int threads);
// The bandwidth is looked at each time, the matrix peak is that of `ceilings`: products of all
// formats are made by the same units, in 16 bits.
std::unique_ptr<FloorProbe> MakeGpuFloorProbe(std::unique_ptr<gpu_bench::GpuProbe> probe,
                                              const gpu_bench::Ceilings& ceilings);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_FLOOR_PROBE_H_
