// The recurrence of RWKV-4: close to the double-precision reference, the same bits for any cut of a
// history, and sound for keys whose exponentials overflow.
#include <gtest/gtest.h>

#include "tests/unit/kernels/segment_op.h"

namespace ssmd::kernels {
namespace {

using Wkv4Test = KernelTest;

struct Wkv4Op {
  Wkv4Op(int64_t channel_count, int64_t row_count)
      : channels(channel_count),
        rows(row_count),
        r(RandomTensor(rows * x_stride(), 1, -3, 3)),
        k(RandomTensor(rows * x_stride(), 2, -4, 4)),
        v(RandomTensor(rows * x_stride(), 3)),
        decay(RandomTensor(channels, 4, -3, -0.01f)),
        bonus(RandomTensor(channels, 5, -2, 2)),
        slots(4, 3 * channels, 6, 0.5f, 1.5f) {}

  int64_t x_stride() const { return channels + 1; }
  int64_t y_stride() const { return channels + 2; }

  Tensor Run(Device& device, const std::vector<Segment>& segments) {
    Tensor y(static_cast<size_t>(rows * y_stride()), 7.0f);
    RunInto(device, segments, y);
    return y;
  }
  void RunInto(Device& device, const std::vector<Segment>& segments, Tensor& y) {
    Wkv4Params params = Params(segments);
    params.y = y.data();
    params.y_stride = y_stride();
    device.Wkv4(params);
  }
  Wkv4Params Params(const std::vector<Segment>& segments) {
    Wkv4Params params;
    params.segments = segments.data();
    params.segment_count = static_cast<int64_t>(segments.size());
    params.channels = channels;
    params.r = r.data();
    params.k = k.data();
    params.v = v.data();
    params.x_stride = x_stride();
    params.decay = decay.data();
    params.bonus = bonus.data();
    params.state = slots.field();
    return params;
  }

  int64_t channels, rows;
  Tensor r, k, v, decay, bonus;
  Slots slots;
};

TEST_P(Wkv4Test, AgreesWithTheReferenceAndBitwiseWithScalar) {
  for (int64_t channels : Some<int64_t>({1, 15, 16, 17, 63, 64, 65, 200})) {
    SCOPED_TRACE(testing::Message() << channels << " channels");
    Wkv4Op ours(channels, 23);
    Wkv4Op scalar = ours;
    Wkv4Op reference = ours;
    const Tensor y = ours.Run(*device_, MixedSegments());
    EXPECT_LT(RelativeError(y, reference.Run(*reference_, MixedSegments())), Bound(2e-6));
    EXPECT_LT(RelativeError(ours.slots.slab(), reference.slots.slab()), Bound(2e-6));
    EXPECT_TRUE(LikeScalar(y, scalar.Run(*scalar_, MixedSegments())));
    EXPECT_TRUE(LikeScalar(ours.slots.slab(), scalar.slots.slab()));
  }
}

// By the sums themselves, which fit a double as long as keys are small.
TEST_P(Wkv4Test, IsAWeightedMeanOfValues) {
  constexpr int32_t kTokens = 20;
  Wkv4Op op(3, kTokens);
  const Tensor y = op.Run(*device_, {{0, kTokens, 0, 0, 0}});
  for (int64_t c = 0; c < 3; ++c) {
    for (int32_t t = 0; t < kTokens; ++t) {
      double above = 0;
      double below = 0;
      for (int32_t i = 0; i <= t; ++i) {
        const double age = i == t ? op.bonus[c] : (t - 1 - i) * double{op.decay[c]};
        const double weight = std::exp(age + op.k[i * op.x_stride() + c]);
        above += weight * op.v[i * op.x_stride() + c];
        below += weight;
      }
      const double gate = 1 / (1 + std::exp(-double{op.r[t * op.x_stride() + c]}));
      EXPECT_NEAR(y[t * op.y_stride() + c], gate * above / below, 2e-6) << t;
    }
  }
}

TEST_P(Wkv4Test, LargeKeysOverflowNowhere) {
  Wkv4Op op(40, 12);
  for (size_t i = 0; i < op.k.size(); ++i) op.k[i] = i % 3 == 0 ? 80 : -80;
  Wkv4Op reference = op;
  const std::vector<Segment> segments = {{0, 12, 0, 0, 0}};
  const Tensor y = op.Run(*device_, segments);
  EXPECT_LT(RelativeError(y, reference.Run(*reference_, segments)), Bound(1e-5));
  EXPECT_LT(RelativeError(op.slots.copy(0), reference.slots.copy(0)), Bound(1e-5));
}

TEST_P(Wkv4Test, ASessionBeginsWithNothingWhateverTheSlotHolds) {
  Wkv4Op clean(40, 3);
  Wkv4Op dirty = clean;
  for (int64_t i = 0; i < 3 * 40; ++i) {
    clean.slots.at(0)[i] = 0;
    dirty.slots.at(0)[i] = i % 2 == 0 ? NAN : 1e30f;
  }
  const std::vector<Segment> segments = {{0, 3, 0, 0, 0}};
  const Tensor y = dirty.Run(*device_, segments);
  EXPECT_TRUE(SameBits(y, clean.Run(*device_, segments)));
  EXPECT_TRUE(SameBits(dirty.slots.copy(0), clean.slots.copy(0)));
  // The first token is its own mean.
  for (int64_t c = 0; c < 40; ++c) {
    EXPECT_NEAR(y[c], clean.v[c] / (1 + std::exp(-clean.r[c])), 1e-6);
  }
}

TEST_P(Wkv4Test, OutputMayReplaceReceptance) {
  const std::vector<Segment> segments = {{0, 9, 0, 0, 4}};
  Wkv4Op apart(70, 9);
  Wkv4Op in_place = apart;
  Tensor y(apart.r.size());
  Wkv4Params params = apart.Params(segments);
  params.y = y.data();
  params.y_stride = params.x_stride;
  device_->Wkv4(params);
  params = in_place.Params(segments);
  params.y = in_place.r.data();
  params.y_stride = params.x_stride;
  device_->Wkv4(params);
  for (int64_t row = 0; row < 9; ++row) {
    const int64_t at = row * apart.x_stride();
    EXPECT_TRUE(SameBits(Tensor(in_place.r.begin() + at, in_place.r.begin() + at + 70),
                         Tensor(y.begin() + at, y.begin() + at + 70)));
  }
}

TEST_P(Wkv4Test, CutsOfASegmentDoNotShow) {
  ExpectCutsDoNotShow(*device_, Wkv4Op(70, 20), 20, Some<int32_t>({1, 2, 3, 7, 19}));
}

TEST_P(Wkv4Test, ThreadsDoNotShow) {
  for (int threads : Some<int>({1, 2, 3, 4})) {
    ExpectSameOn(*device_, *Another(threads), Wkv4Op(200, 23));
  }
}

TEST_P(Wkv4Test, NeighboursAndSlotsDoNotShow) {
  ExpectNeighboursDoNotShow(*device_, Wkv4Op(70, 12));
}

TEST_P(Wkv4Test, AnotherTargetSlotLeavesTheSourceUntouched) {
  ExpectSourceSlotUntouched(*device_, Wkv4Op(70, 6));
}

TEST_P(Wkv4Test, APaddedSegmentWritesNothing) {
  ExpectPaddedSegmentWritesNothing(*device_, Wkv4Op(70, 6));
}

INSTANTIATE_KERNEL_TEST(Wkv4Test);

}  // namespace
}  // namespace ssmd::kernels
