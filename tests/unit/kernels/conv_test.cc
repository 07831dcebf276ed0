// Convolution with its ring: close to the reference, and the same bits however a history is cut
// into segments and whichever slots it goes through.
#include <gtest/gtest.h>

#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {
namespace {

// A convolution over fixed random inputs, with its own ring slots.
class Conv {
 public:
  Conv(int64_t channels, int64_t width, int64_t rows, bool with_bias = true)
      : channels_(channels),
        width_(width),
        rows_(rows),
        with_bias_(with_bias),
        x_(RandomTensor(rows * (channels + 7), 1)),
        weight_(RandomTensor(width * channels, 2)),
        bias_(RandomTensor(channels, 3)),
        slots_(4, (width - 1) * channels, 4) {}

  // Rows that no segment writes hold 7.
  Tensor Run(Device& device, const std::vector<Segment>& segments) {
    Tensor out(static_cast<size_t>(rows_ * (channels_ + 2)), 7.0f);
    RunInto(device, segments, out);
    return out;
  }
  void RunInto(Device& device, const std::vector<Segment>& segments, Tensor& out) {
    ConvSiluParams params;
    params.segments = segments.data();
    params.segment_count = static_cast<int64_t>(segments.size());
    params.channels = channels_;
    params.width = width_;
    params.x = x_.data();
    params.x_stride = channels_ + 7;
    params.weight = weight_.data();
    params.bias = with_bias_ ? bias_.data() : nullptr;
    params.ring = slots_.field();
    params.out = out.data();
    params.out_stride = channels_ + 2;
    device.ConvSilu(params);
  }
  Slots& slots() { return slots_; }

 private:
  int64_t channels_, width_, rows_;
  bool with_bias_;
  Tensor x_, weight_, bias_;
  Slots slots_;
};

using ConvTest = KernelTest;

TEST_P(ConvTest, AgreesWithTheReferenceAndBitwiseWithScalar) {
  for (int64_t channels : {1, 3, 15, 16, 17, 63, 64, 65, 200}) {
    for (int64_t width : {1, 2, 3, 4, 7}) {
      SCOPED_TRACE(testing::Message() << channels << " channels, width " << width);
      // Two sessions and a padded segment; one goes to another slot.
      const std::vector<Segment> segments = {{0, 9, 0, 0, 5}, {9, 1, 1, 2, 13}, {10, 2, -1, -1, 0}};
      Conv ours(channels, width, 12, channels % 2 == 0);
      Conv scalar = ours;
      Conv reference = ours;
      const Tensor out = ours.Run(*device_, segments);
      EXPECT_LT(RelativeError(out, reference.Run(*reference_, segments)), Bound(1e-6));
      EXPECT_TRUE(LikeScalar(out, scalar.Run(*scalar_, segments)));
      EXPECT_TRUE(SameBits(ours.slots().slab(), reference.slots().slab()));
    }
  }
}

TEST_P(ConvTest, CutsOfASegmentDoNotShow) {
  constexpr int32_t kTokens = 23;
  for (int64_t width : {1, 2, 3, 4, 7}) {
    Conv whole(70, width, kTokens);
    const Conv fresh = whole;
    const Tensor expected = whole.Run(*device_, {{0, kTokens, 0, 0, 3}});
    for (int32_t chunk : {1, 2, 3, 5, 22}) {
      Conv cut = fresh;
      Tensor out(expected.size(), 7.0f);
      for (int32_t first = 0; first < kTokens; first += chunk) {
        const int32_t length = std::min(chunk, kTokens - first);
        cut.RunInto(*device_, {{first, length, 0, 0, 3 + first}}, out);
      }
      EXPECT_TRUE(SameBits(out, expected)) << "width " << width << ", chunk " << chunk;
      EXPECT_TRUE(SameBits(cut.slots().slab(), whole.slots().slab()));
    }
  }
}

TEST_P(ConvTest, AnotherTargetSlotLeavesTheSourceUntouched) {
  for (int32_t length : {1, 2, 3, 4, 10}) {
    Conv in_place(33, 4, 10);
    Conv apart = in_place;
    const Conv before = in_place;
    const Tensor expected = in_place.Run(*device_, {{0, length, 1, 1, 8}});
    EXPECT_TRUE(SameBits(apart.Run(*device_, {{0, length, 1, 3, 8}}), expected));
    Conv untouched = before;
    EXPECT_TRUE(SameBits(apart.slots().copy(1), untouched.slots().copy(1)));
    EXPECT_TRUE(SameBits(apart.slots().copy(3), in_place.slots().copy(1)));
  }
}

TEST_P(ConvTest, APaddedSegmentWritesNothing) {
  Conv conv(65, 4, 6);
  Conv before = conv;
  const Tensor out = conv.Run(*device_, {{0, 6, 0, -1, 0}});
  EXPECT_TRUE(SameBits(out, Tensor(out.size(), 7.0f)));
  EXPECT_TRUE(SameBits(conv.slots().slab(), before.slots().slab()));
}

INSTANTIATE_KERNEL_TEST(ConvTest);

}  // namespace
}  // namespace ssmd::kernels
