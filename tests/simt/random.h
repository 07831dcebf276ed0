// The order in which the emulation does what has no order: a stream of numbers from a seed
// (SplitMix64).
#ifndef SSMD_TESTS_SIMT_RANDOM_H_
#define SSMD_TESTS_SIMT_RANDOM_H_

#include <cstdint>
#include <utility>
#include <vector>

namespace ssmd::simt {

class Random {
 public:
  explicit Random(uint64_t seed) : seed_(seed), state_(seed) {}

  uint64_t seed() const { return seed_; }

  uint64_t Next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
  }

  // 0 … n − 1, for n ≥ 1. As good as even for the small n there are here.
  uint64_t Below(uint64_t n) { return Next() % n; }

  template <typename T>
  void Shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[Below(i)]);
  }

 private:
  const uint64_t seed_;
  uint64_t state_;
};

}  // namespace ssmd::simt

#endif  // SSMD_TESTS_SIMT_RANDOM_H_
