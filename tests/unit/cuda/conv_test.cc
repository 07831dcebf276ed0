// The plain convolution gives the CPU's bits, outputs and rings, however a history is cut.
#include <gtest/gtest.h>

#include "kernels/cuda/plain_ops.h"
#include "tests/unit/cuda/conv_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

class PlainConv : public CudaTest {
 protected:
  const Op<ConvSiluParams> cuda_ = Cuda(plain::ConvSilu);
  const Op<ConvSiluParams> cpu_ = Cpu(&Device::ConvSilu);
};

TEST_F(PlainConv, GivesTheBitsOfTheCpu) {
  for (int64_t channels : {1, 17, 64, 65, 200}) {
    for (int64_t width : {1, 2, 3, 4, 5, 64}) {
      SCOPED_TRACE(testing::Message() << channels << " channels, width " << width);
      // The second goes to another slot; the third is padding.
      const std::vector<Segment> segments = {
          {0, 9, 0, 0, 5}, {9, 1, 1, 2, 13}, {10, 2, -1, -1, 0}, {12, 4, 3, 4, 1 << 20}};
      Conv ours({channels, width, 16, channels % 2 == 0});
      Conv expected = ours;
      EXPECT_TRUE(SameBits(ours.Run(cuda_, segments), expected.Run(cpu_, segments)));
      EXPECT_TRUE(SameBits(ours.slots().slab(), expected.slots().slab()));
    }
  }
}

// Tokens are shared by several blocks, of which one has the ring.
TEST_F(PlainConv, ALongSegmentGivesTheBitsOfTheCpu) {
  for (int64_t width : {4, 64}) {
    Conv ours({5, width, 2500});
    Conv expected = ours;
    const std::vector<Segment> segments = {{0, 130, 0, 0, 3}, {130, 2370, 1, 2, 7}};
    EXPECT_TRUE(SameBits(ours.Run(cuda_, segments), expected.Run(cpu_, segments)));
    EXPECT_TRUE(SameBits(ours.slots().slab(), expected.slots().slab()));
  }
}

TEST_F(PlainConv, CutsOfASegmentDoNotShow) {
  constexpr int32_t kTokens = 23;
  for (int64_t width : {2, 4, 7}) {
    Conv whole({70, width, kTokens});
    const Conv fresh = whole;
    const Tensor expected = whole.Run(cuda_, {{0, kTokens, 0, 0, 3}});
    for (int32_t chunk : {1, 2, 5, 22}) {
      Conv cut = fresh;
      Tensor out(expected.size(), 7.0f);
      for (int32_t first = 0; first < kTokens; first += chunk) {
        const int32_t length = std::min(chunk, kTokens - first);
        cut.RunInto(cuda_, {{first, length, 0, 0, 3 + first}}, out);
      }
      EXPECT_TRUE(SameBits(out, expected)) << "width " << width << ", chunk " << chunk;
      EXPECT_TRUE(SameBits(cut.slots().slab(), whole.slots().slab()));
    }
  }
}

TEST_F(PlainConv, NeighboursDoNotShow) {
  Conv together({70, 4, 12});
  Conv alone = together;
  const Tensor all = together.Run(cuda_, {{0, 5, 3, 3, 0}, {5, 6, 1, 0, 4}, {11, 1, 2, 2, 7}});
  const Tensor one = alone.Run(cuda_, {{5, 6, 1, 4, 4}});
  const int64_t stride = together.out_stride();
  EXPECT_TRUE(SameBits(RowsOf(all, stride, 5, 11), RowsOf(one, stride, 5, 11)));
  EXPECT_TRUE(SameBits(together.slots().copy(0), alone.slots().copy(4)));
}

}  // namespace
}  // namespace ssmd::kernels::cuda
