#include <gtest/gtest.h>

#include "tests/unit/kernels/segment_op.h"

namespace ssmd::kernels {
namespace {

using TokenShiftTest = KernelTest;

// Every second mixture has weights of the token's own. The mixtures of a row lie side by side in y.
struct Shift {
  Shift(int64_t channel_count, int64_t row_count, int mixture_count)
      : channels(channel_count),
        rows(row_count),
        count(mixture_count),
        x(RandomTensor(rows * (channels + 1), 1)),
        slots(4, channels, 2) {
    for (int i = 0; i < count; ++i) {
      mix.push_back(RandomTensor(channels, static_cast<uint32_t>(3 + i), 0, 1));
      delta.push_back(RandomTensor(rows * (channels + 2), static_cast<uint32_t>(20 + i)));
    }
  }

  int64_t y_stride() const { return count * (channels + 3); }

  Tensor Run(Device& device, const std::vector<Segment>& segments) {
    Tensor y(static_cast<size_t>(rows * y_stride()), 7.0f);
    RunInto(device, segments, y);
    return y;
  }
  void RunInto(Device& device, const std::vector<Segment>& segments, Tensor& y) {
    TokenShiftParams params;
    params.segments = segments.data();
    params.segment_count = static_cast<int64_t>(segments.size());
    params.channels = channels;
    params.x = x.data();
    params.x_stride = channels + 1;
    params.previous = slots.field();
    params.keep_state = keep_state;
    params.count = count;
    for (int i = 0; i < count; ++i) {
      params.mix[i] = mix[i].data();
      params.delta[i] = i % 2 == 1 ? delta[i].data() : nullptr;
      params.out[i] = y.data() + i * (channels + 3);
    }
    params.delta_stride = channels + 2;
    params.out_stride = y_stride();
    device.TokenShift(params);
  }

  int64_t channels, rows;
  int count;
  Tensor x;
  std::vector<Tensor> mix, delta;
  bool keep_state = false;
  Slots slots;
};

TEST_P(TokenShiftTest, AgreesWithTheReferenceAndBitwiseWithScalar) {
  for (int64_t channels : Some<int64_t>({1, 15, 16, 33, 64, 65, 200})) {
    for (int count : {1, 2, 6}) {
      SCOPED_TRACE(testing::Message() << channels << " channels, mixtures: " << count);
      Shift ours(channels, 23, count);
      Shift scalar = ours;
      Shift reference = ours;
      const Tensor y = ours.Run(*device_, MixedSegments());
      EXPECT_LT(RelativeError(y, reference.Run(*reference_, MixedSegments())), Bound(5e-7));
      EXPECT_TRUE(SameBits(ours.slots.slab(), reference.slots.slab()));
      EXPECT_TRUE(LikeScalar(y, scalar.Run(*scalar_, MixedSegments())));
      EXPECT_TRUE(SameBits(ours.slots.slab(), scalar.slots.slab()));
    }
  }
}

TEST_P(TokenShiftTest, MixesWithTheTokenBefore) {
  Shift shift(2, 2, 2);
  shift.x = {1, 2, 0, 5, 10, 0};
  shift.slots.at(0)[0] = 3;
  shift.slots.at(0)[1] = 6;
  shift.mix = {{0.5f, 0.25f}, {1, 0}};
  Fill(shift.delta[1], 0.5f);
  const Tensor y = shift.Run(*device_, {{0, 2, 0, 0, 0}});
  const Tensor expected = {
      2, 3, 7, 7, 7, 4,  4, 7, 7, 7,  // x + (before − x) · mix; then · 1.5, 0.5
      3, 8, 7, 7, 7, -1, 6, 7, 7, 7};
  EXPECT_TRUE(SameBits(y, expected));
  EXPECT_EQ(shift.slots.at(0)[0], 5);
  EXPECT_EQ(shift.slots.at(0)[1], 10);
}

TEST_P(TokenShiftTest, TheStateStaysWhereAnotherShiftReadsItAgain) {
  Shift kept(40, 23, 2);
  Shift moved = kept;
  kept.keep_state = true;
  const Tensor before = kept.slots.slab();
  EXPECT_TRUE(SameBits(kept.Run(*device_, MixedSegments()), moved.Run(*device_, MixedSegments())));
  EXPECT_TRUE(SameBits(kept.slots.slab(), before));
  EXPECT_FALSE(SameBits(moved.slots.slab(), before));
}

TEST_P(TokenShiftTest, CutsOfASegmentDoNotShow) {
  ExpectCutsDoNotShow(*device_, Shift(70, 20, 2), 20, Some<int32_t>({1, 2, 3, 7, 19}));
}

TEST_P(TokenShiftTest, ThreadsDoNotShow) {
  for (int threads : Some<int>({1, 2, 3, 4})) {
    ExpectSameOn(*device_, *Another(threads), Shift(700, 23, 3));
  }
}

TEST_P(TokenShiftTest, NeighboursAndSlotsDoNotShow) {
  ExpectNeighboursDoNotShow(*device_, Shift(70, 12, 2));
}

TEST_P(TokenShiftTest, AnotherTargetSlotLeavesTheSourceUntouched) {
  ExpectSourceSlotUntouched(*device_, Shift(70, 6, 2));
}

TEST_P(TokenShiftTest, APaddedSegmentWritesNothing) {
  ExpectPaddedSegmentWritesNothing(*device_, Shift(70, 6, 2));
}

INSTANTIATE_KERNEL_TEST(TokenShiftTest);

}  // namespace
}  // namespace ssmd::kernels
