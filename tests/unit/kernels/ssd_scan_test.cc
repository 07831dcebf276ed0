// The Mamba-2 recurrence: close to the double-precision reference, the same bits for any cut of a
// history, and sound at the ends of the number range.
#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/kernels/ssd_test_util.h"

namespace ssmd::kernels {
namespace {

using SsdScanTest = KernelTest;

TEST_P(SsdScanTest, AgreesWithTheReferenceAndBitwiseWithScalar) {
  const std::vector<SsdShape> shapes = {
      {1, 1, 1, 1, 23},  {3, 5, 1, 3, 23},   {2, 16, 2, 16, 23},  {4, 17, 2, 5, 23},
      {8, 33, 8, 7, 23}, {8, 63, 2, 17, 23}, {2, 64, 1, 128, 23}, {1, 65, 1, 64, 23},
      {3, 80, 3, 9, 23}, {2, 130, 1, 4, 23}, {24, 16, 8, 2, 23},  {1, 64, 1, 256, 23},
  };
  for (const SsdShape& shape : Some(shapes)) {
    SCOPED_TRACE(testing::Message() << shape.heads << " heads of " << shape.head_dim << " in "
                                    << shape.groups << " groups, N = " << shape.state_size);
    const std::vector<Segment> segments = {
        {0, 13, 0, 0, 0}, {13, 1, 1, 2, 9}, {14, 7, 3, 3, 0}, {21, 2, -1, -1, 0}};
    Ssd ours(shape);
    Ssd scalar = ours;
    Ssd reference = ours;
    const Tensor y = ours.Run(*device_, segments);
    EXPECT_LT(RelativeError(y, reference.Run(*reference_, segments)), Bound(2e-6));
    EXPECT_LT(RelativeError(ours.slots.slab(), reference.slots.slab()), Bound(2e-6));
    EXPECT_TRUE(LikeScalar(y, scalar.Run(*scalar_, segments)));
    EXPECT_TRUE(LikeScalar(ours.slots.slab(), scalar.slots.slab()));
  }
}

TEST_P(SsdScanTest, GoesWithoutWhatIsOptional) {
  const std::vector<Segment> segments = {{0, 9, 0, 0, 0}};
  for (int left_out = 0; left_out < 3; ++left_out) {
    Ssd ours({4, 20, 2, 6, 9});
    const Tensor with_all = Ssd(ours).Run(*device_, segments);
    Tensor& optional = left_out == 0 ? ours.dt : left_out == 1 ? ours.dt_bias : ours.d;
    optional.clear();
    Ssd reference = ours;
    const Tensor y = ours.Run(*device_, segments);
    EXPECT_LT(RelativeError(y, reference.Run(*reference_, segments)), Bound(2e-6)) << left_out;
    EXPECT_FALSE(SameBits(y, with_all)) << left_out;
  }
}

TEST_P(SsdScanTest, CutsOfASegmentDoNotShow) {
  constexpr int32_t kTokens = 39;
  Ssd whole({3, 70, 1, 17, kTokens});
  const Ssd fresh = whole;
  const Tensor expected = whole.Run(*device_, {{0, kTokens, 0, 0, 0}});
  for (int32_t chunk : Some<int32_t>({1, 2, 3, 4, 5, 7, 16, 17, 38})) {
    Ssd cut = fresh;
    Tensor y(expected.size(), 7.0f);
    for (int32_t first = 0; first < kTokens; first += chunk) {
      const int32_t length = std::min(chunk, kTokens - first);
      cut.RunInto(*device_, {{first, length, 0, 0, first}}, y);
    }
    EXPECT_TRUE(SameBits(y, expected)) << "chunk " << chunk;
    EXPECT_TRUE(SameBits(cut.slots.slab(), whole.slots.slab()));
  }
}

TEST_P(SsdScanTest, ThreadsDoNotShow) {
  Ssd first({5, 72, 1, 24, 40});
  const Ssd fresh = first;
  const std::vector<Segment> segments = {{0, 33, 0, 0, 0}, {33, 1, 1, 2, 5}, {34, 6, 3, 3, 0}};
  const Tensor expected = first.Run(*device_, segments);
  for (int threads : Some<int>({1, 2, 3, 4})) {
    Ssd again = fresh;
    const auto device = Another(threads);
    EXPECT_TRUE(SameBits(again.Run(*device, segments), expected)) << threads;
    EXPECT_TRUE(SameBits(again.slots.slab(), first.slots.slab())) << threads;
  }
}

TEST_P(SsdScanTest, NeighboursAndSlotsDoNotShow) {
  Ssd together({4, 30, 2, 16, 12});
  Ssd alone = together;
  const Tensor all = together.Run(*device_, {{0, 5, 3, 3, 0}, {5, 6, 1, 0, 4}, {11, 1, 2, 2, 7}});
  Tensor one(all.size(), 7.0f);
  alone.RunInto(*device_, {{5, 6, 1, 3, 4}}, one);
  const int64_t width = together.y_stride();
  EXPECT_TRUE(SameBits(Tensor(all.begin() + 5 * width, all.begin() + 11 * width),
                       Tensor(one.begin() + 5 * width, one.begin() + 11 * width)));
  EXPECT_TRUE(SameBits(together.slots.copy(0), alone.slots.copy(3)));
}

TEST_P(SsdScanTest, AnotherTargetSlotLeavesTheSourceUntouched) {
  for (int32_t length : {1, 4, 6}) {
    Ssd in_place({2, 65, 1, 16, 6});
    Ssd apart = in_place;
    const Tensor before = in_place.slots.copy(1);
    const Tensor expected = in_place.Run(*device_, {{0, length, 1, 1, 0}});
    EXPECT_TRUE(SameBits(apart.Run(*device_, {{0, length, 1, 3, 0}}), expected));
    EXPECT_TRUE(SameBits(apart.slots.copy(1), before));
    EXPECT_TRUE(SameBits(apart.slots.copy(3), in_place.slots.copy(1)));
  }
}

TEST_P(SsdScanTest, APaddedSegmentWritesNothing) {
  Ssd ssd({2, 65, 1, 3, 6});
  const Tensor before = ssd.slots.slab();
  const Tensor y = ssd.Run(*device_, {{0, 6, 0, -1, 0}});
  EXPECT_TRUE(SameBits(y, Tensor(y.size(), 7.0f)));
  EXPECT_TRUE(SameBits(ssd.slots.slab(), before));
}

TEST_P(SsdScanTest, OutputMayReplaceItsInput) {
  const std::vector<Segment> segments = {{0, 9, 0, 0, 0}};
  Ssd apart({2, 35, 1, 16, 9});
  Ssd in_place = apart;
  SsdScanParams params = apart.Params(segments);
  Tensor y(apart.x.size());
  params.y = y.data();
  params.y_stride = params.x_stride;
  device_->SsdScan(params);
  params = in_place.Params(segments);
  params.y = in_place.x.data();
  params.y_stride = params.x_stride;
  device_->SsdScan(params);
  for (int64_t r = 0; r < 9; ++r) {
    const auto row = static_cast<size_t>(r * params.x_stride);
    for (size_t i = row; i < row + 70; ++i) EXPECT_EQ(Bits(y[i]), Bits(in_place.x[i])) << r;
  }
}

TEST_P(SsdScanTest, AHeadReadsItsGroup) {
  // Heads 0 and 1 are of group 0, heads 2 and 3 of group 1. C of group 1 is changed.
  Ssd ssd({4, 16, 2, 8, 1});
  Ssd changed = ssd;
  for (size_t n = 8; n < 16; ++n) changed.c[n] += 1;
  const std::vector<Segment> segments = {{0, 1, 0, 0, 0}};
  const Tensor y = ssd.Run(*device_, segments);
  const Tensor other = changed.Run(*device_, segments);
  EXPECT_TRUE(
      SameBits(Tensor(y.begin(), y.begin() + 32), Tensor(other.begin(), other.begin() + 32)));
  for (size_t i = 32; i < 64; ++i) EXPECT_NE(y[i], other[i]) << i;
}

// Δ shows as S = Δ when x = B = 1 and nothing was there before.
float StepOf(Device& device, float dt, float dt_min, float dt_max, int64_t tokens) {
  Ssd ssd({1, 1, 1, 1, tokens});
  Fill(ssd.x, 1);
  Fill(ssd.b, 1);
  Fill(ssd.dt, dt);
  Fill(ssd.dt_bias, 0);
  Fill(ssd.a, -1e30f);  // so that each step forgets the last
  ssd.dt_min = dt_min;
  ssd.dt_max = dt_max;
  ssd.Run(device, {{0, static_cast<int32_t>(tokens), 0, 0, 0}});
  return ssd.slots.at(0)[0];
}

TEST_P(SsdScanTest, ClampsTheStepInPromptsAndInSingleTokens) {
  for (int64_t tokens : {1, 2, 4, 9}) {
    EXPECT_EQ(StepOf(*device_, -8, 0.125f, 0.5f, tokens), 0.125f);
    EXPECT_EQ(StepOf(*device_, 3, 0.125f, 0.5f, tokens), 0.5f);
    EXPECT_NEAR(StepOf(*device_, -1, 0.125f, 0.5f, tokens), std::log1p(std::exp(-1.0)), 1e-6);
    // Above 20, softplus is the identity.
    EXPECT_EQ(StepOf(*device_, 25, 0, std::numeric_limits<float>::infinity(), tokens), 25.0f);
  }
}

TEST_P(SsdScanTest, TinyStepsLeaveTheStateAsItIs) {
  Ssd ssd({2, 40, 1, 16, 5});
  Fill(ssd.dt, -200);  // softplus is below the normal numbers
  const Tensor before = ssd.slots.copy(0);
  ssd.Run(*device_, {{0, 5, 0, 0, 0}});
  EXPECT_TRUE(SameBits(ssd.slots.copy(0), before));
}

TEST_P(SsdScanTest, UnderflowOfTheDecayIsZero) {
  Ssd ssd({2, 40, 1, 16, 40});
  Fill(ssd.dt, 30);
  Fill(ssd.a, -1e30f);
  Ssd reference = ssd;
  const std::vector<Segment> segments = {{0, 40, 0, 0, 0}};
  const Tensor y = ssd.Run(*device_, segments);
  EXPECT_LT(RelativeError(y, reference.Run(*reference_, segments)), Bound(1e-6));
}

TEST_P(SsdScanTest, AStateThatDecaysAwayReachesZero) {
  Ssd ssd({2, 16, 1, 16, 200});
  Fill(ssd.x, 0);
  Fill(ssd.dt, 1);
  ssd.Run(*device_, {{0, 200, 0, 0, 0}});
  EXPECT_TRUE(SameBits(ssd.slots.copy(0), Tensor(2 * 16 * 16, 0.0f)));
}

TEST_P(SsdScanTest, ANanStaysInItsSegmentAndPaddingStaysZero) {
  for (int32_t length : {1, 5}) {
    Ssd ssd({2, 35, 1, 16, 10});
    Ssd clean = ssd;
    ssd.b[3] = NAN;
    const std::vector<Segment> segments = {{0, length, 0, 0, 0}, {5, 5, 1, 1, 0}};
    const Tensor y = ssd.Run(*device_, segments);
    const Tensor expected = clean.Run(*device_, segments);
    EXPECT_TRUE(std::isnan(y[0]));
    const int64_t second = 5 * ssd.y_stride();
    EXPECT_TRUE(SameBits(Tensor(y.begin() + second, y.end()),
                         Tensor(expected.begin() + second, expected.end())));
    const Tensor state = ssd.slots.copy(0);
    Tensor cleared = state;
    ssd.ClearPadding(cleared.data());
    EXPECT_TRUE(SameBits(state, cleared));
  }
}

// 8,192 tokens step by step: see the same test of SelectiveScan.
TEST_P(SsdScanTest, DoesNotDriftOverEightThousandTokens) {
  const int64_t tokens = Few<int64_t>(8192, 400);
  struct LongRun {
    float dt_low, dt_high;  // before softplus
    double bound;
  };
  // softplus(−6.907) = 1e-3, softplus(−9.21) = 1e-4.
  const LongRun kRuns[] = {{-6.907f, 0, 1e-6}, {-6.907f, -6.907f, 5e-6}, {-9.21f, -9.21f, 1e-5}};
  for (const LongRun& run : kRuns) {
    Ssd ssd({1, 16, 1, 16, tokens});
    ssd.dt = RandomTensor(tokens * 3, 9, run.dt_low, run.dt_high);
    Fill(ssd.dt_bias, 0);
    Fill(ssd.a, -1);
    Ssd reference = ssd;
    const std::vector<Segment> segments = {{0, static_cast<int32_t>(tokens), 0, 0, 0}};
    EXPECT_LT(RelativeError(ssd.Run(*device_, segments), reference.Run(*reference_, segments)),
              Bound(run.bound))
        << run.dt_low;
    EXPECT_LT(RelativeError(ssd.slots.copy(0), reference.slots.copy(0)), Bound(run.bound))
        << run.dt_low;
  }
}

INSTANTIATE_KERNEL_TEST(SsdScanTest);

}  // namespace
}  // namespace ssmd::kernels
