// Memories of signals on every device: the bits of the CPU, close to the reference's plain
// formulas, whatever way a history is cut.
#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/kernels/memory_test_util.h"

namespace ssmd::kernels {
namespace {

using MemoryScanTest = KernelTest;

constexpr MemoryShape kMemoryShapes[] = {
    {MemoryStep::kLegsExact, 1},        {MemoryStep::kLegsExact, 8, 5},
    {MemoryStep::kLegsExact, 33, 3},    {MemoryStep::kLegsExact, 64},
    {MemoryStep::kLegsExact, 256},      {MemoryStep::kLegsBilinear, 1, 64},
    {MemoryStep::kLegsBilinear, 20, 2}, {MemoryStep::kDense, 1},
    {MemoryStep::kDense, 9, 3},         {MemoryStep::kDense, 256}};
constexpr MemoryStep kMemorySteps[] = {MemoryStep::kLegsExact, MemoryStep::kLegsBilinear,
                                       MemoryStep::kDense};

TEST_P(MemoryScanTest, GivesTheBitsOfTheCpuAndAgreesWithTheReference) {
  const std::vector<Segment> segments = {
      {0, 13, 0, 0, 0}, {13, 1, 1, 2, 9}, {14, 7, 3, 3, 0}, {21, 2, -1, -1, 0}};
  const std::vector<int32_t> tokens = SampleTokens(23, 1);
  for (const MemoryShape& shape : kMemoryShapes) {
    SCOPED_TRACE(testing::Message() << "step " << static_cast<int>(shape.step) << ", N = "
                                    << shape.state_size << ", " << shape.channels << " channels");
    Memory ours(shape), scalar(shape), reference(shape);
    ours.Feed(*device_, segments, tokens);
    scalar.Feed(*scalar_, segments, tokens);
    reference.Feed(*reference_, segments, tokens);
    EXPECT_TRUE(SameBits(ours.slab, scalar.slab));
    for (int slot = 0; slot < kMemorySlots; ++slot) {
      const DoubleTensor state = ours.State(slot);
      const DoubleTensor expected = reference.State(slot);
      for (size_t i = 0; i < state.size(); ++i) ASSERT_NEAR(state[i], expected[i], 1e-11) << i;
    }
  }
}

TEST_P(MemoryScanTest, CutsDoNotShow) {
  const std::vector<int32_t> tokens = SampleTokens(41, 2);
  const auto count = static_cast<int32_t>(tokens.size());
  for (const MemoryStep step : kMemorySteps) {
    Memory whole({step, 11, 3});
    whole.Feed(*device_, {{0, count, 0, 0, 0}}, tokens);
    for (const int32_t piece : Some<int32_t>({1, 2, 7, 40})) {
      Memory cut({step, 11, 3});
      for (int32_t first = 0; first < count; first += piece) {
        cut.Feed(*device_, {{first, std::min(piece, count - first), 0, 0, first}}, tokens);
      }
      EXPECT_TRUE(SameBits(cut.slab, whole.slab)) << piece;
    }
  }
}

TEST_P(MemoryScanTest, AnotherTargetLeavesTheSource) {
  const std::vector<int32_t> tokens = SampleTokens(6, 3);
  for (const MemoryStep step : kMemorySteps) {
    Memory in_place({step, 10, 2}), apart({step, 10, 2});
    const DoubleTensor before = apart.State(1);
    in_place.Feed(*device_, {{0, 6, 1, 1, 4}}, tokens);
    apart.Feed(*device_, {{0, 6, 1, 3, 4}}, tokens);
    EXPECT_TRUE(SameBits(apart.State(1), before));
    EXPECT_TRUE(SameBits(apart.State(3), in_place.State(1)));
    EXPECT_FALSE(SameBits(apart.State(3), before));
  }
}

TEST_P(MemoryScanTest, APaddedSegmentWritesNothing) {
  Memory memory({MemoryStep::kLegsExact, 10, 2});
  const DoubleTensor before = memory.slab;
  memory.Feed(*device_, {{0, 6, 0, -1, 0}}, SampleTokens(6, 4));
  EXPECT_TRUE(SameBits(memory.slab, before));
}

// As denormals they would stay for long, and cost a hundred times as much on a CPU.
TEST_P(MemoryScanTest, WhatDecaysBecomesZero) {
  Memory memory({MemoryStep::kDense, 2});
  std::fill(memory.table.a.begin(), memory.table.a.end(), 0);
  memory.table.a[0] = memory.table.a[PaddedMemoryState(2) + 1] = 0x1p-16;
  const std::vector<int32_t> silence(70, *TokenOfSample(0.0f));
  memory.Feed(*device_, {{0, 63, 0, 0, 0}}, silence);
  EXPECT_NE(memory.State(0)[0], 0);
  memory.Feed(*device_, {{0, 2, 0, 0, 63}}, silence);
  EXPECT_EQ(memory.State(0)[0], 0);
  EXPECT_EQ(memory.State(0)[1], 0);
}

INSTANTIATE_KERNEL_TEST(MemoryScanTest);

}  // namespace
}  // namespace ssmd::kernels
