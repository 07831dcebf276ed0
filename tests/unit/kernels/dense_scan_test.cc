// A dense linear system that all channels share: close to the double-precision reference, the same
// bits for any cut of a history, and linear.
#include <gtest/gtest.h>

#include "tests/unit/kernels/dense_test_util.h"

namespace ssmd::kernels {
namespace {

using DenseScanTest = LinearScanTest;

TEST_P(DenseScanTest, AgreesWithTheReferenceAndBitwiseWithScalar) {
  const std::vector<DenseShape> shapes = {{1, 1},   {65, 16}, {5, 3},   {16, 5},  {130, 6},
                                          {64, 7},  {33, 11}, {20, 13}, {48, 64}, {3, 100},
                                          {17, 24}, {9, 32},  {4, 256}};
  for (const DenseShape& shape : Some(shapes)) {
    SCOPED_TRACE(testing::Message() << shape.channels << " channels, N = " << shape.state_size);
    ExpectAgreement(Dense(shape, 23), 2e-6);
  }
}

TEST_P(DenseScanTest, KeepsItsPromises) { ExpectPromises<Dense>(DenseShape{70, 13}); }

TEST_P(DenseScanTest, IsLinear) {
  constexpr int64_t kTokens = 20;
  const std::vector<Segment> segments = {{0, kTokens, 0, 0, 0}};
  Dense first({40, 9}, kTokens);
  Dense second = first;
  second.u = RandomTensor(kTokens * 40, 21);
  const Tensor other = RandomRows(9, 40, 22);
  std::copy(other.begin(), other.end(), second.slots.at(0));
  Dense mixed = first;
  const auto mix = [](float x, float y) { return 0.75f * x - 2 * y; };
  for (size_t i = 0; i < mixed.u.size(); ++i) mixed.u[i] = mix(first.u[i], second.u[i]);
  for (int64_t i = 0; i < mixed.elements(); ++i) {
    mixed.slots.at(0)[i] = mix(first.slots.at(0)[i], second.slots.at(0)[i]);
  }
  const Tensor y = Scanned(mixed, *device_, segments);
  Tensor expected = Scanned(first, *device_, segments);
  const Tensor part = Scanned(second, *device_, segments);
  for (size_t i = 0; i < y.size(); ++i) {
    const bool is_output = static_cast<int64_t>(i) % OutputStride(first) < 40;
    expected[i] = is_output ? mix(expected[i], part[i]) : 7;
  }
  EXPECT_LT(RelativeError(y, expected), Bound(5e-6));
}

// A shift of the state: y is the input of N tokens before.
TEST_P(DenseScanTest, AShiftDelays) {
  constexpr int64_t kSize = 13, kTokens = 30, kChannels = 20;
  Dense dense({kChannels, kSize}, kTokens);
  Fill(dense.a, 0);
  Fill(dense.b, 0);
  Fill(dense.d, 0);
  Fill(dense.output, 0);
  dense.b[0] = 1;
  for (int64_t n = 1; n < kSize; ++n) dense.a[n * kSize + n - 1] = 1;
  for (int64_t c = 0; c < kChannels; ++c) {
    dense.output[(kSize - 1) * PaddedLanes(kChannels) + c] = 1;
  }
  const Tensor y = Scanned(dense, *device_, {{0, kTokens, 0, 0, 0}});
  for (int64_t t = kSize - 1; t < kTokens; ++t) {
    for (int64_t c = 0; c < kChannels; ++c) {
      ASSERT_EQ(y[t * OutputStride(dense) + c], dense.u[(t - kSize + 1) * kChannels + c]);
    }
  }
}

TEST_P(DenseScanTest, ANanInTheMatrixLeavesPaddingZero) {
  Dense dense({21, 8}, 3);
  dense.a[3] = NAN;
  const Tensor y = Scanned(dense, *device_, {{0, 3, 0, 0, 0}});
  EXPECT_TRUE(std::isnan(y[0]));
  ExpectPaddingIsZero(dense);
}

INSTANTIATE_KERNEL_TEST(DenseScanTest);

}  // namespace
}  // namespace ssmd::kernels
