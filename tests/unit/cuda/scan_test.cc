// The plain Mamba-1 recurrence gives the CPU's bits, outputs and states, however a history is cut.
#include <gtest/gtest.h>

#include "kernels/cuda/plain_ops.h"
#include "tests/unit/cuda/scan_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

class PlainScan : public CudaTest {
 protected:
  const Op<SelectiveScanParams> cuda_ = Cuda(plain::SelectiveScan);
  const Op<SelectiveScanParams> cpu_ = Cpu(&Device::SelectiveScan);
};

TEST_F(PlainScan, GivesTheBitsOfTheCpu) {
  for (int64_t channels : {1, 17, 64, 65, 130}) {
    for (int64_t state_size : {1, 5, 16, 17, 64, 100, 256}) {
      SCOPED_TRACE(testing::Message() << channels << " channels, N = " << state_size);
      // The second goes to another slot; the third is padding.
      const std::vector<Segment> segments = {
          {0, 13, 0, 0, 0}, {13, 1, 1, 2, 9}, {14, 2, -1, -1, 0}, {16, 6, 3, 4, 0}};
      Scan ours({channels, state_size, 22});
      Scan expected = ours;
      EXPECT_TRUE(SameBits(ours.Run(cuda_, segments), expected.Run(cpu_, segments)));
      EXPECT_TRUE(SameBits(ours.slots.slab(), expected.slots.slab()));
    }
  }
}

TEST_F(PlainScan, CutsOfASegmentDoNotShow) {
  constexpr int32_t kTokens = 29;
  Scan whole({70, 16, kTokens});
  const Scan fresh = whole;
  const Tensor expected = whole.Run(cuda_, {{0, kTokens, 0, 0, 0}});
  for (int32_t chunk : {1, 2, 3, 7, 28}) {
    Scan cut = fresh;
    Tensor y(expected.size(), 7.0f);
    for (int32_t first = 0; first < kTokens; first += chunk) {
      const int32_t length = std::min(chunk, kTokens - first);
      cut.RunInto(cuda_, {{first, length, 0, 0, first}}, y);
    }
    EXPECT_TRUE(SameBits(y, expected)) << "chunk " << chunk;
    EXPECT_TRUE(SameBits(cut.slots.slab(), whole.slots.slab()));
  }
}

TEST_F(PlainScan, NeighboursAndSlotsDoNotShow) {
  Scan together({100, 16, 12});
  Scan alone = together;
  const Tensor all = together.Run(cuda_, {{0, 5, 3, 3, 0}, {5, 6, 1, 0, 4}, {11, 1, 2, 2, 7}});
  const Tensor one = alone.Run(cuda_, {{5, 6, 1, 4, 4}});
  const int64_t stride = together.y_stride();
  EXPECT_TRUE(SameBits(RowsOf(all, stride, 5, 11), RowsOf(one, stride, 5, 11)));
  EXPECT_TRUE(SameBits(together.slots.copy(0), alone.slots.copy(4)));
}

TEST_F(PlainScan, OutputMayReplaceItsInput) {
  Scan ours({70, 16, 9});
  Scan expected = ours;
  ours.RunInPlace(cuda_, {{0, 9, 0, 0, 0}});
  expected.RunInPlace(cpu_, {{0, 9, 0, 0, 0}});
  EXPECT_TRUE(SameBits(ours.x, expected.x));
}

// Softplus, decay and gate at the ends of their ranges.
TEST_F(PlainScan, GivesTheBitsOfTheCpuAtTheEndsOfTheRange) {
  for (float dt : {-200.0f, -90.0f, 19.0f, 21.0f, 1e30f}) {
    for (float a : {-1e-30f, -1.0f, -1e30f}) {
      Scan ours({64, 16, 5});
      Fill(ours.dt, dt);
      Fill(ours.a, a);
      for (size_t i = 0; i < ours.z.size(); ++i) ours.z[i] *= 40;
      Scan expected = ours;
      const std::vector<Segment> segments = {{0, 5, 0, 0, 0}};
      EXPECT_TRUE(SameBits(ours.Run(cuda_, segments), expected.Run(cpu_, segments))) << dt << a;
      EXPECT_TRUE(SameBits(ours.slots.slab(), expected.slots.slab()));
    }
  }
}

TEST_F(PlainScan, PaddingStaysZeroWhenBIsNotFinite) {
  Scan scan({65, 3, 2});
  scan.b[1] = INFINITY;
  scan.Run(cuda_, {{0, 2, 0, 1, 0}});
  Tensor cleared = scan.slots.copy(1);
  scan.ClearPadding(cleared.data());
  EXPECT_TRUE(SameBits(scan.slots.copy(1), cleared));
}

}  // namespace
}  // namespace ssmd::kernels::cuda
