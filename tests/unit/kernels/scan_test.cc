// The Mamba-1 recurrence: close to the double-precision reference, the same bits for any cut of a
// history, and sound at the ends of the number range.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/unit/kernels/scan_test_util.h"

namespace ssmd::kernels {
namespace {

using ScanTest = KernelTest;

TEST_P(ScanTest, AgreesWithTheReferenceAndBitwiseWithScalar) {
  for (int64_t channels : Some<int64_t>({1, 3, 15, 17, 63, 64, 65, 200})) {
    for (int64_t state_size : {1, 3, 16, 17}) {
      SCOPED_TRACE(testing::Message() << channels << " channels, N = " << state_size);
      const std::vector<Segment> segments = {
          {0, 20, 0, 0, 0}, {20, 1, 1, 2, 9}, {21, 2, -1, -1, 0}};
      Scan ours({channels, state_size, 23});
      Scan scalar = ours;
      Scan reference = ours;
      const Tensor y = ours.Run(*device_, segments);
      EXPECT_LT(RelativeError(y, reference.Run(*reference_, segments)), Bound(2e-6));
      EXPECT_LT(RelativeError(ours.slots.slab(), reference.slots.slab()), Bound(2e-6));
      EXPECT_TRUE(LikeScalar(y, scalar.Run(*scalar_, segments)));
      EXPECT_TRUE(LikeScalar(ours.slots.slab(), scalar.slots.slab()));
    }
  }
}

TEST_P(ScanTest, CutsOfASegmentDoNotShow) {
  constexpr int32_t kTokens = 29;
  Scan whole({130, 16, kTokens});
  const Scan fresh = whole;
  const Tensor expected = whole.Run(*device_, {{0, kTokens, 0, 0, 0}});
  for (int32_t chunk : Some<int32_t>({1, 2, 3, 7, 28})) {
    Scan cut = fresh;
    Tensor y(expected.size(), 7.0f);
    for (int32_t first = 0; first < kTokens; first += chunk) {
      const int32_t length = std::min(chunk, kTokens - first);
      cut.RunInto(*device_, {{first, length, 0, 0, first}}, y);
    }
    EXPECT_TRUE(SameBits(y, expected)) << "chunk " << chunk;
    EXPECT_TRUE(SameBits(cut.slots.slab(), whole.slots.slab()));
  }
}

TEST_P(ScanTest, ThreadsDoNotShow) {
  Scan first({330, 16, 40});
  const Scan fresh = first;
  const std::vector<Segment> segments = {{0, 33, 0, 0, 0}, {33, 1, 1, 2, 5}, {34, 6, 3, 3, 0}};
  const Tensor expected = first.Run(*device_, segments);
  for (int threads : Some<int>({1, 2, 3, 4})) {
    Scan again = fresh;
    const auto device = Another(threads);
    EXPECT_TRUE(SameBits(again.Run(*device, segments), expected)) << threads;
    EXPECT_TRUE(SameBits(again.slots.slab(), first.slots.slab())) << threads;
  }
}

TEST_P(ScanTest, NeighboursAndSlotsDoNotShow) {
  Scan together({100, 16, 12});
  Scan alone = together;
  const Tensor all = together.Run(*device_, {{0, 5, 3, 3, 0}, {5, 6, 1, 0, 4}, {11, 1, 2, 2, 7}});
  Tensor one(all.size(), 7.0f);
  alone.RunInto(*device_, {{5, 6, 1, 3, 4}}, one);
  const size_t width = 106;
  EXPECT_TRUE(SameBits(Tensor(all.begin() + 5 * width, all.begin() + 11 * width),
                       Tensor(one.begin() + 5 * width, one.begin() + 11 * width)));
  EXPECT_TRUE(SameBits(together.slots.copy(0), alone.slots.copy(3)));
}

TEST_P(ScanTest, AnotherTargetSlotLeavesTheSourceUntouched) {
  Scan in_place({65, 16, 4});
  Scan apart = in_place;
  const Tensor before = in_place.slots.copy(1);
  const Tensor expected = in_place.Run(*device_, {{0, 4, 1, 1, 0}});
  EXPECT_TRUE(SameBits(apart.Run(*device_, {{0, 4, 1, 3, 0}}), expected));
  EXPECT_TRUE(SameBits(apart.slots.copy(1), before));
  EXPECT_TRUE(SameBits(apart.slots.copy(3), in_place.slots.copy(1)));
}

TEST_P(ScanTest, APaddedSegmentWritesNothing) {
  Scan scan({65, 3, 6});
  const Tensor before = scan.slots.slab();
  const Tensor y = scan.Run(*device_, {{0, 6, 0, -1, 0}});
  EXPECT_TRUE(SameBits(y, Tensor(y.size(), 7.0f)));
  EXPECT_TRUE(SameBits(scan.slots.slab(), before));
}

TEST_P(ScanTest, OutputMayReplaceItsInput) {
  Scan apart({70, 16, 9});
  Scan in_place = apart;
  const std::vector<Segment> segments = {{0, 9, 0, 0, 0}};
  SelectiveScanParams params = apart.Params(segments);
  Tensor y(apart.x.size());
  params.y = y.data();
  params.y_stride = params.x_stride;
  device_->SelectiveScan(params);
  params = in_place.Params(segments);
  params.y = in_place.x.data();
  params.y_stride = params.x_stride;
  device_->SelectiveScan(params);
  for (int64_t r = 0; r < 9; ++r) {
    const auto row = static_cast<size_t>(r * params.x_stride);
    for (size_t i = row; i < row + 70; ++i) EXPECT_EQ(Bits(y[i]), Bits(in_place.x[i])) << r;
  }
}

TEST_P(ScanTest, TinyStepsLeaveTheStateAsItIs) {
  Scan scan({64, 16, 5});
  Fill(scan.dt, -200);  // softplus is below the normal numbers
  const Tensor before = scan.slots.copy(0);
  scan.Run(*device_, {{0, 5, 0, 0, 0}});
  EXPECT_TRUE(SameBits(scan.slots.copy(0), before));
}

TEST_P(ScanTest, LargeStepsAreTakenAsTheyAre) {
  // Above 20, softplus is the identity; the old state decays to nothing and h = Δ·x·B.
  Scan scan({64, 1, 1});
  Fill(scan.dt, 25);
  Fill(scan.a, -16);
  scan.Run(*device_, {{0, 1, 0, 0, 0}});
  for (size_t i = 0; i < 64; ++i) {
    EXPECT_EQ(scan.slots.at(0)[i], (25 * scan.x[i]) * scan.b[0]) << i;
  }
}

TEST_P(ScanTest, UnderflowOfTheDecayIsZero) {
  Scan scan({64, 16, 40});
  Fill(scan.dt, 30);
  Fill(scan.a, -1e30f);
  Scan reference = scan;
  const std::vector<Segment> segments = {{0, 40, 0, 0, 0}};
  const Tensor y = scan.Run(*device_, segments);
  EXPECT_LT(RelativeError(y, reference.Run(*reference_, segments)), Bound(1e-6));
}

TEST_P(ScanTest, AStateThatDecaysAwayReachesZero) {
  Scan scan({64, 16, 200});
  Fill(scan.x, 0);
  Fill(scan.dt, 1);
  scan.Run(*device_, {{0, 200, 0, 0, 0}});
  EXPECT_TRUE(SameBits(scan.slots.copy(0), Tensor(64 * 16, 0.0f)));
}

TEST_P(ScanTest, ExtremeGatesAreSiluOrZero) {
  const float kGates[] = {-1e30f, -200, -88, -20, 0, 20, 88, 200, 1e10f};
  for (float gate : kGates) {
    Scan scan({64, 3, 2});
    Fill(scan.z, gate);
    Scan reference = scan;
    const std::vector<Segment> segments = {{0, 2, 0, 0, 0}};
    const Tensor y = scan.Run(*device_, segments);
    const Tensor expected = reference.Run(*reference_, segments);
    for (size_t i = 0; i < y.size(); ++i) {
      EXPECT_NEAR(y[i], expected[i], 1e-5 * std::abs(expected[i]) + 1e-30) << gate;
    }
  }
}

TEST_P(ScanTest, ANanStaysInItsSegmentAndPaddingStaysZero) {
  Scan scan({70, 16, 4});
  Scan clean = scan;
  scan.b[3] = NAN;
  const std::vector<Segment> segments = {{0, 2, 0, 0, 0}, {2, 2, 1, 1, 0}};
  const Tensor y = scan.Run(*device_, segments);
  const Tensor expected = clean.Run(*device_, segments);
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_TRUE(SameBits(Tensor(y.begin() + 2 * 76, y.end()),
                       Tensor(expected.begin() + 2 * 76, expected.end())));
  Tensor state = scan.slots.copy(0);
  Tensor cleared = state;
  scan.ClearPadding(cleared.data());
  EXPECT_EQ(0, std::memcmp(state.data(), cleared.data(), state.size() * sizeof(float)));
}

// Softplus shows as h = Δ when x = B = 1 and nothing was there before.
TEST_P(ScanTest, SoftplusHasASmallRelativeError) {
  constexpr int64_t kChannels = 4096;
  Scan scan({kChannels, 1, 1});
  Fill(scan.x, 1);
  Fill(scan.b, 1);
  for (int64_t i = 0; i < kChannels; ++i) {
    scan.dt[static_cast<size_t>(i)] = -80 + 102.0f * static_cast<float>(i) / kChannels;
    scan.slots.at(0)[i] = 0;
  }
  scan.Run(*device_, {{0, 1, 0, 0, 0}});
  for (int64_t i = 0; i < kChannels; ++i) {
    const double dt = scan.dt[static_cast<size_t>(i)];
    const double exact = dt > 20 ? dt : std::log1p(std::exp(dt));
    EXPECT_NEAR(scan.slots.at(0)[i] / exact, 1, 3e-7) << dt;
  }
}

// 8,192 tokens step by step. Even a correctly rounded e^{Δa}, as a factor, would be off by 1e-4 and
// more with constant Δ.
struct Drift {
  float dt_low, dt_high;  // before softplus
  double bound;
};

TEST_P(ScanTest, DoesNotDriftOverEightThousandTokens) {
  const int64_t tokens = Few<int64_t>(8192, 400);
  // softplus(−6.907) = 1e-3, softplus(−9.21) = 1e-4.
  const Drift kDrifts[] = {{-6.907f, 0, 1e-6}, {-6.907f, -6.907f, 5e-6}, {-9.21f, -9.21f, 1e-5}};
  for (const Drift& drift : kDrifts) {
    Scan scan({16, 16, tokens});
    scan.dt = RandomTensor(tokens * 18, 9, drift.dt_low, drift.dt_high);
    Scan reference = scan;
    const std::vector<Segment> segments = {{0, static_cast<int32_t>(tokens), 0, 0, 0}};
    EXPECT_LT(RelativeError(scan.Run(*device_, segments), reference.Run(*reference_, segments)),
              Bound(drift.bound))
        << drift.dt_low;
    EXPECT_LT(RelativeError(scan.slots.copy(0), reference.slots.copy(0)), Bound(drift.bound))
        << drift.dt_low;
  }
}

INSTANTIATE_KERNEL_TEST(ScanTest);

}  // namespace
}  // namespace ssmd::kernels
