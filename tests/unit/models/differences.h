// How far results are from what they are compared with.
#ifndef SSMD_TESTS_UNIT_MODELS_DIFFERENCES_H_
#define SSMD_TESTS_UNIT_MODELS_DIFFERENCES_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace ssmd {

inline double LargestDifference(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

}  // namespace ssmd

#endif  // SSMD_TESTS_UNIT_MODELS_DIFFERENCES_H_
