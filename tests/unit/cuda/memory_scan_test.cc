// Memories, whose threads share a channel, give the CPU's bits.
#include <gtest/gtest.h>

#include "kernels/cuda/plain_ops.h"
#include "tests/unit/cuda/cuda_test_util.h"
#include "tests/unit/kernels/memory_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

using PlainMemory = CudaTest;

TEST_F(PlainMemory, GivesTheBitsOfTheCpu) {
  const std::vector<Segment> segments = {{0, 3, 0, 0, 2}, {3, 1, 1, 2, 9}, {4, 2, -1, -1, 0}};
  const std::vector<int32_t> tokens = SampleTokens(6, 1);
  for (const MemoryShape& shape :
       {MemoryShape{MemoryStep::kLegsExact, 70, 2}, MemoryShape{MemoryStep::kLegsBilinear, 9},
        MemoryShape{MemoryStep::kDense, 40}}) {
    Memory ours(shape), expected(shape);
    Cuda(plain::MemoryScan)(ours.Params(segments, tokens));
    Cpu (&Device::MemoryScan)(expected.Params(segments, tokens));
    EXPECT_TRUE(SameBits(ours.slab, expected.slab));
  }
}

}  // namespace
}  // namespace ssmd::kernels::cuda
