// The fast Mamba-1 recurrence: close to double precision, for a long history too; the same bits
// for a prompt as for its tokens one by one, and whatever the other rows are.
#include "kernels/cuda/scan_fast.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cuda/fast_ops.h"
#include "tests/unit/cuda/scan_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

constexpr double kFastScanTolerance = 2e-6;

class FastScan : public CudaTest {
 protected:
  // A segment a token, one after another.
  void StepThrough(Scan& scan, const Segment& whole, Tensor& y) {
    for (int32_t t = 0; t < whole.length; ++t) {
      scan.RunInto(step_,
                   {{whole.first_row + t, 1, t == 0 ? whole.src_slot : whole.dst_slot,
                     whole.dst_slot, whole.position + t}},
                   y);
    }
  }

  const Op<SelectiveScanParams> step_ = Cuda(fast::ScanStep);
  const Op<SelectiveScanParams> prompt_ = Cuda(fast::ScanPrompt);
  const Op<SelectiveScanParams> reference_ = Reference(&Device::SelectiveScan);
};

const ScanShape kFastScanShapes[] = {{1, 1, 80},       {64, 16, 80, 4}, {65, 5, 80},
                                     {132, 16, 80, 4}, {130, 17, 80},   {32, 64, 80, 4},
                                     {64, 100, 80},    {200, 16, 80}};

TEST_F(FastScan, StepsAreCloseToTheReference) {
  for (const ScanShape& shape : kFastScanShapes) {
    SCOPED_TRACE(testing::Message() << shape.channels << " channels, N = " << shape.state_size);
    // The second goes to another slot; the third is padding.
    const std::vector<Segment> segments = {
        {3, 1, 0, 0, 0}, {0, 1, 1, 2, 9}, {1, 1, -1, -1, 0}, {2, 1, 3, 4, 0}};
    Scan ours(shape);
    Scan reference = ours;
    EXPECT_LT(RelativeError(ours.Run(step_, segments), reference.Run(reference_, segments)),
              kFastScanTolerance);
    EXPECT_LT(RelativeError(ours.slots.slab(), reference.slots.slab()), kFastScanTolerance);
  }
}

TEST_F(FastScan, APromptHasTheBitsOfItsTokens) {
  for (const ScanShape& shape : kFastScanShapes) {
    SCOPED_TRACE(testing::Message() << shape.channels << " channels, N = " << shape.state_size);
    const std::vector<Segment> segments = {
        {0, 67, 0, 0, 0}, {67, 1, 1, 2, 9}, {68, 2, -1, -1, 0}, {70, 6, 3, 4, 0}};
    Scan prompt(shape);
    Scan steps = prompt;
    Tensor expected(static_cast<size_t>(shape.rows * prompt.y_stride()), 7.0f);
    for (const Segment& segment : segments) StepThrough(steps, segment, expected);
    EXPECT_TRUE(SameBits(prompt.Run(prompt_, segments), expected));
    EXPECT_TRUE(SameBits(prompt.slots.slab(), steps.slots.slab()));
  }
}

TEST_F(FastScan, NeighboursDoNotShow) {
  for (const ScanShape& shape : kFastScanShapes) {
    SCOPED_TRACE(testing::Message() << shape.channels << " channels, N = " << shape.state_size);
    const Scan fresh(shape);
    // Nine rows, of which four have states: two rows a thread. Alone there is one.
    std::vector<Segment> segments(9, Segment{0, 1, -1, -1, 0});
    for (int32_t i = 0; i < 4; ++i) segments[2 * i + i % 2] = {10 + i, 1, i, i, 5};
    Scan together = fresh;
    const Tensor all = together.Run(step_, segments);
    for (int32_t i = 0; i < 4; ++i) {
      Scan alone = fresh;
      const Tensor one = alone.Run(step_, {{10 + i, 1, i, i, 5}});
      EXPECT_TRUE(SameBits(RowsOf(all, alone.y_stride(), 10 + i, 11 + i),
                           RowsOf(one, alone.y_stride(), 10 + i, 11 + i)))
          << i;
      EXPECT_TRUE(SameBits(together.slots.copy(i), alone.slots.copy(i))) << i;
    }
    EXPECT_TRUE(SameBits(together.slots.copy(4), Scan(fresh).slots.copy(4)));
  }
}

TEST_F(FastScan, OutputMayReplaceItsInput) {
  Scan apart({72, 16, 40, 4});
  Scan in_place = apart;
  const Tensor y = apart.Run(prompt_, {{0, 40, 0, 0, 0}});
  in_place.RunInPlace(prompt_, {{0, 40, 0, 0, 0}});
  for (int64_t row = 0; row < 40; ++row) {
    for (int64_t i = 0; i < 72; ++i) {
      ASSERT_EQ(Bits(in_place.x[row * 76 + i]), Bits(y[row * apart.y_stride() + i])) << row;
    }
  }
}

TEST_F(FastScan, IsSoundAtTheEndsOfTheRange) {
  for (float dt : {-200.0f, -20.0f, 25.0f}) {
    for (float a : {-1e-30f, -1.0f, -1e30f}) {
      Scan ours({64, 16, 5});
      Fill(ours.dt, dt);
      Fill(ours.a, a);
      Scan reference = ours;
      const std::vector<Segment> segments = {{0, 5, 0, 0, 0}};
      EXPECT_LT(RelativeError(ours.Run(prompt_, segments), reference.Run(reference_, segments)),
                kFastScanTolerance)
          << dt << " " << a;
      EXPECT_LT(RelativeError(ours.slots.copy(0), reference.slots.copy(0)), kFastScanTolerance);
    }
  }
}

TEST_F(FastScan, PaddingStaysZeroWhenBIsNotFinite) {
  for (const auto& op : {step_, prompt_}) {
    Scan scan({65, 3, 2});
    scan.b[1] = INFINITY;
    scan.Run(op, {{0, 1, 0, 1, 0}});
    Tensor cleared = scan.slots.copy(1);
    scan.ClearPadding(cleared.data());
    EXPECT_TRUE(SameBits(scan.slots.copy(1), cleared));
  }
}

TEST_F(FastScan, DoesNotDriftOverEightThousandTokens) {
  constexpr int32_t kTokens = 8192;
  const struct {
    float dt_low, dt_high;  // softplus(−6.907) = 1e-3, softplus(−9.21) = 1e-4
    double bound;
  } kDrifts[] = {{-6.907f, 0, 1e-6}, {-6.907f, -6.907f, 5e-6}, {-9.21f, -9.21f, 1e-5}};
  for (const auto& drift : kDrifts) {
    Scan ours({16, 16, kTokens});
    ours.dt = RandomTensor(kTokens * 18, 9, drift.dt_low, drift.dt_high);
    Scan reference = ours;
    const std::vector<Segment> segments = {{0, kTokens, 0, 0, 0}};
    const double error =
        RelativeError(ours.Run(prompt_, segments), reference.Run(reference_, segments));
    const double state_error = RelativeError(ours.slots.copy(0), reference.slots.copy(0));
    EXPECT_LT(error, drift.bound) << drift.dt_low;
    EXPECT_LT(state_error, drift.bound) << drift.dt_low;
  }
}

// Of what the unit gives exactly: the polynomial, and that the two meet.
TEST(PowerMinus1, IsCloseRelativeToItsResult) {
  for (int i = 1; i < 200000; ++i) {
    const float t = -1.5f * static_cast<float>(i) / 200000;
    const double exact = std::expm1(double{t} * std::log(2.0));
    ASSERT_LT(std::abs(PowerMinus1(t) / exact - 1), 2e-7) << t;
  }
  EXPECT_EQ(PowerMinus1(0), 0);
  EXPECT_EQ(PowerMinus1(-1e30f), -1);
  EXPECT_EQ(PowerMinus1(-INFINITY), -1);
  EXPECT_TRUE(std::isnan(PowerMinus1(NAN)));
}

}  // namespace
}  // namespace ssmd::kernels::cuda
