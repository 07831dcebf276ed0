#include <gtest/gtest.h>

#include <numbers>

#include "tests/unit/kernels/segment_op.h"

namespace ssmd::kernels {
namespace {

using RotateTest = KernelTest;

// Rotates in place, and so in y, whose rows hold 7 elsewhere. Has no state.
struct Rotation {
  Rotation(int64_t head_count, int64_t columns, int64_t row_count)
      : heads(head_count),
        head_dim(columns),
        rows(row_count),
        x(RandomTensor(rows * heads * head_dim, 1)),
        slots(4, 1, 0, 0, 0) {
    for (int64_t i = 0; i < head_dim / 2; ++i) {
      frequencies.push_back(
          std::pow(1e4, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim)));
    }
  }

  int64_t y_stride() const { return heads * head_dim + 3; }

  Tensor Run(Device& device, const std::vector<Segment>& segments) {
    Tensor y(static_cast<size_t>(rows * y_stride()), 7.0f);
    RunInto(device, segments, y);
    return y;
  }
  void RunInto(Device& device, const std::vector<Segment>& segments, Tensor& y) {
    const int64_t width = heads * head_dim;
    for (const Segment& segment : segments) {
      if (segment.dst_slot < 0) continue;
      for (int64_t row = segment.first_row; row < segment.first_row + segment.length; ++row) {
        std::copy_n(x.begin() + row * width, width, y.begin() + row * y_stride());
      }
    }
    RotateParams params;
    params.segments = segments.data();
    params.segment_count = static_cast<int64_t>(segments.size());
    params.heads = heads;
    params.head_dim = head_dim;
    params.frequencies = frequencies.data();
    params.scale = scale;
    params.x = y.data();
    params.x_stride = y_stride();
    device.Rotate(params);
  }

  int64_t heads, head_dim, rows;
  std::pmr::vector<double> frequencies;
  float scale = 0.125f;
  Tensor x;
  Slots slots;
};

TEST_P(RotateTest, AgreesWithTheReferenceAndBitwiseWithScalar) {
  for (int64_t head_dim : Some<int64_t>({2, 6, 16, 30, 64, 66, 80, 128, 200, 256})) {
    for (int64_t heads : {1, 3}) {
      SCOPED_TRACE(testing::Message() << heads << " heads of " << head_dim);
      Rotation op(heads, head_dim, 23);
      const Tensor y = op.Run(*device_, MixedSegments());
      EXPECT_LT(RelativeError(y, op.Run(*reference_, MixedSegments())), Bound(2e-7));
      EXPECT_TRUE(LikeScalar(y, op.Run(*scalar_, MixedSegments())));
    }
  }
}

// Angles of a whole turn a token and a bit: in single precision nothing would be left of them.
TEST_P(RotateTest, IsRightFarIntoASession) {
  for (const int64_t position : {int64_t{0}, int64_t{1'000'000}, int64_t{10'000'000}}) {
    for (const double frequency : {1.0, 0.3, 1e-3, 2 * std::numbers::pi, -1.7, 0.0}) {
      Rotation op(1, 2, 1);
      op.frequencies = {frequency};
      op.scale = 1;
      op.x = {1, 0};
      const Tensor y = op.Run(*device_, {{0, 1, 0, 0, position}});
      const double angle = static_cast<double>(position) * frequency;
      EXPECT_NEAR(y[0], std::cos(angle), 1e-6) << position << ", " << frequency;
      EXPECT_NEAR(y[1], std::sin(angle), 1e-6) << position << ", " << frequency;
    }
  }
}

TEST_P(RotateTest, AnglesOfAllSizesAreRight) {
  const int32_t tokens = Few(1 << 14, 200);
  Rotation op(1, 2, tokens);
  op.frequencies = {0.7390851332151607};
  op.scale = 1;
  for (size_t i = 0; i < op.x.size(); ++i) op.x[i] = i % 2 == 0 ? 1 : 0;
  const Tensor y = op.Run(*device_, {{0, tokens, 0, 0, 0}});
  double worst = 0;
  for (int32_t t = 0; t < tokens; ++t) {
    const double angle = t * op.frequencies[0];
    worst = std::max(worst, std::abs(y[t * op.y_stride()] - std::cos(angle)));
    worst = std::max(worst, std::abs(y[t * op.y_stride() + 1] - std::sin(angle)));
  }
  EXPECT_LT(worst, 4e-8);  // half a unit of the last place of numbers below 1, and a little
}

TEST_P(RotateTest, PositionZeroScalesAlone) {
  Rotation op(2, 64, 1);
  const Tensor y = op.Run(*device_, {{0, 1, 0, 0, 0}});
  for (size_t i = 0; i < op.x.size(); ++i) EXPECT_EQ(y[i], op.x[i] * 0.125f);
}

TEST_P(RotateTest, CutsOfASegmentDoNotShow) {
  ExpectCutsDoNotShow(*device_, Rotation(2, 20, 20), 20, Some<int32_t>({1, 2, 3, 7, 19}));
}

TEST_P(RotateTest, ThreadsDoNotShow) {
  for (int threads : Some<int>({1, 2, 3, 4})) {
    ExpectSameOn(*device_, *Another(threads), Rotation(3, 256, 23));
  }
}

TEST_P(RotateTest, NeighboursAndSlotsDoNotShow) {
  ExpectNeighboursDoNotShow(*device_, Rotation(2, 20, 12));
}

TEST_P(RotateTest, APaddedSegmentWritesNothing) {
  ExpectPaddedSegmentWritesNothing(*device_, Rotation(2, 20, 6));
}

INSTANTIATE_KERNEL_TEST(RotateTest);

}  // namespace
}  // namespace ssmd::kernels
