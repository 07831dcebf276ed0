// What a simulation draws: the same numbers from the same seed, with every compiler.
#ifndef SSMD_TESTS_SIM_DICE_H_
#define SSMD_TESTS_SIM_DICE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/unit/schedule/fake_model.h"

namespace ssmd::sim {

class Dice {
 public:
  explicit Dice(uint64_t seed) : seed_(seed) {}

  uint64_t Next() { return testing::Mix(seed_, ++draws_); }
  // Of [low, high].
  int Pick(int low, int high) {
    return low + static_cast<int>(Next() % static_cast<uint64_t>(high - low + 1));
  }
  bool Chance(int percent) { return Pick(1, 100) <= percent; }
  template <typename T>
  T& Of(std::vector<T>& items) {
    return items[static_cast<size_t>(Next() % items.size())];
  }
  template <typename T>
  T One(std::initializer_list<T> items) {
    return items.begin()[Next() % items.size()];
  }

 private:
  const uint64_t seed_;
  uint64_t draws_ = 0;
};

}  // namespace ssmd::sim

#endif  // SSMD_TESTS_SIM_DICE_H_
