// Numbers that are much like weights and activations.
#ifndef SSMD_TESTS_GPU_BENCH_RANDOM_NUMBERS_H_
#define SSMD_TESTS_GPU_BENCH_RANDOM_NUMBERS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/number_format.h"

namespace ssmd::gpu_bench {

// Uniform in [−largest, largest), the same for a seed everywhere (SplitMix64; Steele et al. 2014).
inline std::vector<float> RandomFloats(size_t count, float largest, uint64_t seed) {
  std::vector<float> numbers(count);
  uint64_t state = seed * 0x9E3779B97F4A7C15u;
  for (float& number : numbers) {
    uint64_t word = state += 0x9E3779B97F4A7C15u;
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
    const auto bits = static_cast<int32_t>((word ^ (word >> 31)) >> 40);  // 24 of them
    number = largest * (static_cast<float>(bits) * 0x1p-23f - 1);
  }
  return numbers;
}

inline std::vector<uint16_t> RandomBf16(size_t count, float largest) {
  std::vector<uint16_t> rounded;
  rounded.reserve(count);
  for (const float number : RandomFloats(count, largest, 1)) {
    rounded.push_back(kernels::RoundToBf16(number));
  }
  return rounded;
}

}  // namespace ssmd::gpu_bench

#endif  // SSMD_TESTS_GPU_BENCH_RANDOM_NUMBERS_H_
