// The fast Mamba-2 step: close to double precision, with the plain one's states; the same bits for
// a prompt as for its tokens one by one, and whatever the other rows are.
#include <gtest/gtest.h>

#include "kernels/cuda/fast_ops.h"
#include "kernels/cuda/plain_ops.h"
#include "tests/unit/cuda/ssd_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

constexpr double kSsdStepTolerance = 2e-6;

class FastSsdStep : public CudaTest {
 protected:
  const Op<SsdScanParams> step_ = Cuda(fast::SsdStep);
  const Op<SsdScanParams> plain_ = Cuda(plain::SsdScan);
  const Op<SsdScanParams> reference_ = Reference(&Device::SsdScan);
};

const SsdShape kSsdStepShapes[] = {
    {1, 1, 1, 1, 23},    {3, 5, 1, 3, 23},   {4, 17, 2, 5, 23}, {4, 63, 2, 17, 23},
    {2, 64, 1, 128, 23}, {1, 65, 1, 64, 23}, {3, 80, 3, 9, 23}, {1, 64, 1, 256, 23},
};

TEST_F(FastSsdStep, IsCloseToTheReference) {
  for (const SsdShape& shape : kSsdStepShapes) {
    SCOPED_TRACE(testing::Message() << shape.heads << " heads of " << shape.head_dim << " in "
                                    << shape.groups << " groups, N = " << shape.state_size);
    const std::vector<Segment> segments = {
        {0, 13, 0, 0, 0}, {13, 1, 1, 2, 9}, {14, 7, 3, 3, 0}, {21, 2, -1, -1, 0}};
    Ssd ours(shape);
    Ssd reference = ours;
    EXPECT_LT(RelativeError(RunSsd(step_, ours, segments), RunSsd(reference_, reference, segments)),
              kSsdStepTolerance);
  }
}

// So it does not drift either.
TEST_F(FastSsdStep, HasTheStatesOfThePlainOne) {
  for (const SsdShape& shape : kSsdStepShapes) {
    const std::vector<Segment> segments = {
        {0, 13, 0, 0, 0}, {13, 1, 1, 2, 9}, {14, 7, 3, 3, 0}, {21, 2, -1, -1, 0}};
    Ssd ours(shape);
    Ssd plain = ours;
    RunSsd(step_, ours, segments);
    RunSsd(plain_, plain, segments);
    EXPECT_TRUE(SameBits(ours.slots.slab(), plain.slots.slab())) << shape.head_dim;
  }
}

TEST_F(FastSsdStep, CutsDoNotShow) {
  constexpr int32_t kTokens = 23;
  for (const SsdShape& shape : kSsdStepShapes) {
    Ssd whole(shape);
    const Ssd fresh = whole;
    const Tensor expected = RunSsd(step_, whole, {{0, kTokens, 0, 1, 0}});
    for (int32_t chunk : {1, 5, 22}) {
      Ssd cut = fresh;
      for (int32_t first = 0; first < kTokens; first += chunk) {
        const int32_t length = std::min(chunk, kTokens - first);
        const Tensor y = RunSsd(step_, cut, {{first, length, first == 0 ? 0 : 1, 1, first}});
        EXPECT_TRUE(SameBits(RowsOf(y, cut.y_stride(), first, first + length),
                             RowsOf(expected, cut.y_stride(), first, first + length)))
            << "chunk " << chunk;
      }
      EXPECT_TRUE(SameBits(cut.slots.slab(), whole.slots.slab()));
    }
  }
}

TEST_F(FastSsdStep, NeighboursDoNotShow) {
  Ssd together({4, 30, 2, 16, 12});
  Ssd alone = together;
  const Tensor all = RunSsd(step_, together, {{0, 5, 3, 3, 0}, {5, 6, 1, 0, 4}, {11, 1, 2, 2, 7}});
  const Tensor one = RunSsd(step_, alone, {{5, 6, 1, 3, 4}});
  EXPECT_TRUE(
      SameBits(RowsOf(all, together.y_stride(), 5, 11), RowsOf(one, together.y_stride(), 5, 11)));
  EXPECT_TRUE(SameBits(together.slots.copy(0), alone.slots.copy(3)));
}

TEST_F(FastSsdStep, GoesWithoutWhatIsOptional) {
  for (int left_out = 0; left_out < 3; ++left_out) {
    Ssd ours({4, 20, 2, 6, 9});
    ours.dt_min = 0.05f;
    ours.dt_max = 0.3f;
    Tensor& optional = left_out == 0 ? ours.dt : left_out == 1 ? ours.dt_bias : ours.d;
    optional.clear();
    Ssd reference = ours;
    EXPECT_LT(RelativeError(RunSsd(step_, ours, {{0, 9, 0, 0, 0}}),
                            RunSsd(reference_, reference, {{0, 9, 0, 0, 0}})),
              kSsdStepTolerance)
        << left_out;
  }
}

TEST_F(FastSsdStep, OutputMayReplaceItsInput) {
  const std::vector<Segment> segments = {{0, 9, 0, 0, 0}};
  Ssd apart({2, 35, 1, 16, 9});
  Ssd in_place = apart;
  const Tensor y = RunSsd(step_, apart, segments);
  RunInPlace(step_, in_place, segments);
  for (int64_t row = 0; row < 9; ++row) {
    for (int64_t i = 0; i < 70; ++i) {
      ASSERT_EQ(Bits(in_place.x[row * 71 + i]), Bits(y[row * apart.y_stride() + i])) << row;
    }
  }
}

TEST_F(FastSsdStep, PaddingStaysZeroWhenBIsNotFinite) {
  Ssd ssd({2, 35, 1, 16, 3});
  ssd.b[3] = INFINITY;
  RunSsd(step_, ssd, {{0, 3, 0, 1, 0}});
  Tensor cleared = ssd.slots.copy(1);
  ssd.ClearPadding(cleared.data());
  EXPECT_TRUE(SameBits(ssd.slots.copy(1), cleared));
}

}  // namespace
}  // namespace ssmd::kernels::cuda
