// The operators of chunks of tokens of a dense system, against its steps.
#include "engine/models/mixers/dense_chunk.h"

#include <gtest/gtest.h>

#include <vector>

namespace ssmd {
namespace {

// A chunk of 5 tokens of 18 channels, by its operators and by steps.
TEST(DenseChunk, GoesWhereStepsGo) {
  constexpr size_t kSize = 3, kTokens = 5, kChannels = 18, kLanes = 16;
  const std::vector<float> a = {0.5f, -0.25f, 0, 0.125f, 0.75f, 0.5f, -0.5f, 0, 0.25f};
  const std::vector<float> b = {1, -0.5f, 0.25f};
  const std::vector<double> u = {1, -2, 0.5, 3, -1};
  std::vector<float> output;
  for (size_t i = 0; i < kChannels * kSize; ++i) output.push_back(0.1f * static_cast<float>(i % 7));
  const DenseChunk chunk = MakeDenseChunk(a, b, output, kTokens);
  const std::vector<double> before = {0.5, -1, 2};
  std::vector<double> h = before;
  for (size_t t = 0; t < kTokens; ++t) {
    std::vector<double> next(kSize);
    for (size_t n = 0; n < kSize; ++n) {
      next[n] = b[n] * u[t];
      for (size_t m = 0; m < kSize; ++m) next[n] += a[n * kSize + m] * h[m];
    }
    h = next;
    for (size_t c = 0; c < kChannels; ++c) {
      double stepped = 0;
      double read = 0;
      const size_t block = c / kLanes * kTokens;
      for (size_t n = 0; n < kSize; ++n) {
        stepped += output[c * kSize + n] * h[n];
        read += chunk.readout[((block + t) * kSize + n) * kLanes + c % kLanes] * before[n];
      }
      for (size_t j = 0; j <= t; ++j) {
        read += chunk.taps[(block + t - j) * kLanes + c % kLanes] * u[j];
      }
      EXPECT_NEAR(read, stepped, 1e-6);
    }
  }
  for (size_t n = 0; n < kSize; ++n) {
    double reached = 0;
    const float* step = &chunk.step[n * (kSize + kTokens)];
    for (size_t m = 0; m < kSize; ++m) reached += step[m] * before[m];
    for (size_t j = 0; j < kTokens; ++j) reached += step[kSize + j] * u[j];
    EXPECT_NEAR(reached, h[n], 1e-6);
  }
}

}  // namespace
}  // namespace ssmd
