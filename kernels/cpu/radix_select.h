// Which scores are the largest ones whose weights reach a target: without sorting, and without an
// order in which weights are added (they are integers).
#ifndef SSMD_KERNELS_CPU_RADIX_SELECT_H_
#define SSMD_KERNELS_CPU_RADIX_SELECT_H_

#include <cstdint>

#include "kernels/number_format.h"

namespace ssmd::kernels::cpu {

// Scores are <= 0, so magnitudes in bits order them: the largest score has the smallest key. Both
// zeros have the same key.
inline uint32_t ScoreKey(float score) { return BitsOfFloat(score) & 0x7FFFFFFF; }

// What is selected: keys below `key`, and of those equal to it the first `ties`.
struct Cut {
  uint32_t key = 0;
  int64_t ties = 0;
};

// The smallest set of largest scores whose weights reach `target`, ties going to the first.
// `weight(i)` depends on scores[i] alone. REQUIRES: 1 <= target <= the sum of all weights.
template <typename Weight>
Cut SelectLargest(const float* scores, int64_t n, uint64_t target, const Weight& weight) {
  constexpr int kShifts[] = {21, 10, 0};  // digits of 11, 11 and 10 bits, from the top
  constexpr int kBins = 1 << 11;
  uint32_t prefix = 0;  // digits of the cut's key found so far
  uint32_t known = 0;   // mask of their bits
  uint64_t bin_weight = 0;
  int64_t bin_count = 0;
  for (int shift : kShifts) {
    const uint32_t digit_mask = shift == 0 ? 0x3FF : 0x7FF;
    uint64_t weights[kBins] = {};
    int64_t counts[kBins] = {};
    for (int64_t i = 0; i < n; ++i) {
      const uint32_t key = ScoreKey(scores[i]);
      if ((key & known) != prefix) continue;
      const uint32_t digit = key >> shift & digit_mask;
      weights[digit] += weight(i);
      ++counts[digit];
    }
    uint32_t digit = 0;
    while (weights[digit] < target) target -= weights[digit++];
    bin_weight = weights[digit];
    bin_count = counts[digit];
    prefix |= digit << shift;
    known |= digit_mask << shift;
  }
  // All in the last bin have one key, hence one weight.
  const uint64_t each = bin_weight / static_cast<uint64_t>(bin_count);
  return {prefix, static_cast<int64_t>((target + each - 1) / each)};
}

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_RADIX_SELECT_H_
