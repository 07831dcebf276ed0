// The fast convolution of single tokens gives the plain one's bits, outputs and rings.
#include <gtest/gtest.h>

#include "kernels/cuda/fast_ops.h"
#include "kernels/cuda/plain_ops.h"
#include "tests/unit/cuda/conv_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

class FastConv : public CudaTest {
 protected:
  const Op<ConvSiluParams> fast_ = Cuda(fast::ConvStep);
  const Op<ConvSiluParams> plain_ = Cuda(plain::ConvSilu);
};

TEST_F(FastConv, GivesTheBitsOfThePlainOne) {
  for (int64_t channels : {4, 64, 520, 65}) {
    for (int64_t width : {1, 2, 3, 4, 5}) {
      SCOPED_TRACE(testing::Message() << channels << " channels, width " << width);
      for (int64_t position = 0; position < 5; ++position) {
        const std::vector<Segment> segments = {
            {3, 1, 0, 0, position}, {1, 1, 1, 2, position + 100}, {0, 1, -1, -1, 0}};
        Conv fast({channels, width, 4, position % 2 == 0, 4});
        Conv plain = fast;
        EXPECT_TRUE(SameBits(fast.Run(fast_, segments), plain.Run(plain_, segments))) << position;
        EXPECT_TRUE(SameBits(fast.slots().slab(), plain.slots().slab())) << position;
      }
    }
  }
}

}  // namespace
}  // namespace ssmd::kernels::cuda
