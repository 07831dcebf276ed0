// What was measured, with what it is held against; as a table and as JSON.
#ifndef SSMD_TESTS_GPU_BENCH_FIGURES_H_
#define SSMD_TESTS_GPU_BENCH_FIGURES_H_

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "tests/gpu/bench/ceilings.h"
#include "tests/gpu/bench/timer.h"

namespace ssmd::gpu_bench {

struct Figure {
  std::string group;  // "kernel", "step", "state"
  std::string model;
  std::string weights;
  std::string load;  // Load::name()
  std::string name;

  Spread ms;                  // of one
  int64_t pieces = 0;         // launches, copies and clearings of one; 0: not counted
  double bytes = 0;           // that have to move; 0: not said
  double flops = 0;           // of matrix products; 0: none
  double floor_ms = 0;        // the least that the ceilings allow; 0: not known
  double boundary_loss = -1;  // of a step, between its kernels; < 0: not known
  double tokens = 0;          // that one makes or reads

  // "kernel/mamba-2.8b/bf16/64/scan", to choose by.
  std::string id() const;
  // The floor's time by ours. REQUIRES: floor_ms > 0.
  double of_floor() const { return floor_ms / ms.median; }
};

class Figures {
 public:
  explicit Figures(const Ceilings& ceilings) : ceilings_(ceilings) {}

  // Keeps it, and prints its line of the table.
  void Add(const Figure& figure);
  // Heads the lines that follow.
  void Title(const std::string& title);

  // Null where it was not measured. Stays where it is.
  const Figure* Find(const std::string& id) const;
  const std::deque<Figure>& all() const { return all_; }
  std::string ToJson() const;  // an array

 private:
  std::string FigureJson(const Figure& figure) const;

  const Ceilings& ceilings_;
  std::deque<Figure> all_;
};

}  // namespace ssmd::gpu_bench

#endif  // SSMD_TESTS_GPU_BENCH_FIGURES_H_
