// What counts as a disagreement of two kernels.
#include "kernels/cuda/selfcheck/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace ssmd::kernels::cuda {
namespace {

using testing::HasSubstr;

constexpr Bounds kBounds = {0.1, 0.01};

std::string ProblemOf(const std::vector<float>& fast, const std::vector<float>& plain,
                      double scale = 1) {
  Comparison comparison(kBounds);
  comparison.Near(fast.data(), plain.data(), static_cast<int64_t>(plain.size()), 1, scale);
  return comparison.Problem();
}

TEST(Comparison, OneWrongElementIsFoundAmongMany) {
  std::vector<float> plain(10000, 1.0f);
  std::vector<float> fast = plain;
  EXPECT_EQ(ProblemOf(fast, plain), "");
  fast[77] = 1.09f;
  EXPECT_EQ(ProblemOf(fast, plain), "");
  fast[77] = 1.11f;
  EXPECT_THAT(ProblemOf(fast, plain), HasSubstr("up to 0.11"));
}

TEST(Comparison, ASmallErrorOfAllIsFound) {
  const std::vector<float> plain(100, 1.0f);
  EXPECT_EQ(ProblemOf(std::vector<float>(100, 1.009f), plain), "");
  EXPECT_THAT(ProblemOf(std::vector<float>(100, 1.011f), plain),
              HasSubstr("0.011 of it on average"));
}

TEST(Comparison, ErrorsCountAgainstTheScaleOfTheirPlace) {
  EXPECT_EQ(ProblemOf({100.5f}, {100.0f}, 100), "");
  EXPECT_NE(ProblemOf({100.5f}, {100.0f}, 1), "");
  EXPECT_EQ(ProblemOf({0}, {0}, 0), "");
  EXPECT_NE(ProblemOf({1e-30f}, {0}, 0), "") << "of zeros all of an error is too much";
}

TEST(Comparison, WhatIsNoNumberDisagrees) {
  EXPECT_NE(ProblemOf({1, NAN}, {1, 1}), "");
  EXPECT_NE(ProblemOf({1, INFINITY}, {1, 1}), "");
  EXPECT_NE(ProblemOf({1, 1}, {1, NAN}), "");
  EXPECT_NE(ProblemOf({NAN}, {NAN}, NAN), "");
}

TEST(Comparison, RulesHoldToTheBit) {
  const float one = 1, minus_zero = -0.0f, zero = 0;
  Comparison comparison(kBounds);
  comparison.Same(&one, &one, 1, "never");
  comparison.Zeros(&minus_zero, &zero, 1, "never");
  EXPECT_EQ(comparison.Problem(), "");
  comparison.Same(&minus_zero, &zero, 1, "bits differ");
  comparison.Zeros(&one, &zero, 1, "the first is told");
  EXPECT_EQ(comparison.Problem(), "bits differ");
  comparison.Near(&one, &zero, 1, 1, 1);
  EXPECT_THAT(comparison.Problem(), HasSubstr("errors"));
}

TEST(Comparison, MeanSizesAreRootsOfMeanSquares) {
  const float values[] = {3, 100, 5, 100};
  EXPECT_DOUBLE_EQ(MeanSize(values, 2, 2), std::sqrt(17.0));
  EXPECT_EQ(MeanSize(values, 0), 0);
}

}  // namespace
}  // namespace ssmd::kernels::cuda
