// Recurrences in layers of a usual size, d_model 768, ready to be measured.
#ifndef SSMD_TESTS_BENCH_SCAN_CASES_H_
#define SSMD_TESTS_BENCH_SCAN_CASES_H_

#include <cstdint>
#include <functional>
#include <string>

#include "kernels/device.h"

namespace ssmd::bench {

inline constexpr int64_t kScanChannels = 768;
// Most floats of a case's inputs and outputs of a token.
inline constexpr int64_t kMaxScanRow = 9 * kScanChannels;

// An op in one layer.
struct ScanCase {
  std::string name;
  double coefficient_bytes = 0;
  double state_bytes = 0;
  double written_bytes = 0;  // of state, a token
  double flops = 0;          // of a token, in f32; an operation in f64 counts as two
  int64_t row_floats = 0;    // of a token: read, and written
  int64_t layers = 1;        // that there are numbers for
  // `rows`: row_floats for each token of the segment.
  std::function<void(int64_t layer, const kernels::Segment& segment, float* rows)> run;
};

// One after the other, as each holds layers of so many megabytes.
void ForEachScanCase(kernels::Device& device, int64_t megabytes,
                     const std::function<void(const ScanCase&)>& measure);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_SCAN_CASES_H_
