// The recurrence of RWKV-5 and 6: close to the double-precision reference, the same bits for any
// cut of a history, and read before the token enters it.
#include <gtest/gtest.h>

#include "tests/unit/kernels/segment_op.h"
#include "tests/unit/kernels/wkv_test_util.h"

namespace ssmd::kernels {
namespace {

using Wkv6Test = KernelTest;

struct Wkv6Shape {
  int64_t heads, head_dim;
};

TEST_P(Wkv6Test, AgreesWithTheReferenceAndBitwiseWithScalar) {
  for (const Wkv6Shape& shape :
       Some<Wkv6Shape>({{1, 16}, {3, 32}, {2, 48}, {3, 64}, {2, 80}, {1, 128}, {1, 256}})) {
    for (const bool by_token : {false, true}) {
      SCOPED_TRACE(testing::Message() << shape.heads << " heads of " << shape.head_dim);
      Wkv6Op ours(shape.heads, shape.head_dim, 23, by_token);
      Wkv6Op scalar = ours;
      Wkv6Op reference = ours;
      const Tensor y = ours.Run(*device_, MixedSegments());
      EXPECT_LT(RelativeError(y, reference.Run(*reference_, MixedSegments())), Bound(2e-6));
      EXPECT_LT(RelativeError(ours.slots.slab(), reference.slots.slab()), Bound(2e-6));
      EXPECT_TRUE(LikeScalar(y, scalar.Run(*scalar_, MixedSegments())));
      EXPECT_TRUE(LikeScalar(ours.slots.slab(), scalar.slots.slab()));
    }
  }
}

// Small whole numbers, whose sums are exact.
void MakeWhole(Tensor& tensor) {
  for (float& value : tensor) value = std::round(value * 3);
}

TEST_P(Wkv6Test, ATokenIsReadWithItsBonusAndEntersTheMatrixAfterwards) {
  Wkv6Op op(2, 32, 2, false);
  for (Tensor* tensor : {&op.r, &op.k, &op.v, &op.bonus}) MakeWhole(*tensor);
  std::fill_n(op.slots.at(0), 2 * 32 * 32, 0.0f);
  const Tensor y = op.Run(*device_, {{0, 2, 0, 0, 0}});
  const int64_t second = op.x_stride();
  for (int64_t head = 0; head < 2; ++head) {
    const int64_t base = head * 32;
    float bonus_1 = 0, bonus_2 = 0, match = 0;
    for (int64_t i = base; i < base + 32; ++i) {
      bonus_1 += op.r[i] * op.bonus[i] * op.k[i];
      bonus_2 += op.r[second + i] * op.bonus[i] * op.k[second + i];
      match += op.r[second + i] * op.k[i];
    }
    for (int64_t j = base; j < base + 32; ++j) {
      EXPECT_EQ(y[j], bonus_1 * op.v[j]);
      EXPECT_EQ(y[op.y_stride() + j], bonus_2 * op.v[second + j] + match * op.v[j]);
    }
  }
}

TEST_P(Wkv6Test, EachKeyDecaysByItself) {
  Wkv6Op op(1, 16, 1, true);
  Fill(op.k, 0);
  for (int64_t i = 0; i < 16; ++i) {
    op.decay[i] = static_cast<float>(i - 8);
    op.decay_row[i] = 0.5f;
  }
  const Tensor before = op.slots.copy(0);
  op.Run(*device_, {{0, 1, 0, 0, 0}});
  for (int64_t i = 0; i < 16; ++i) {
    const double w = std::exp(-std::exp(static_cast<double>(i) - 7.5));
    for (int64_t j = 0; j < 16; ++j) {
      EXPECT_NEAR(op.slots.at(0)[i * 16 + j], w * before[i * 16 + j], 1e-7);
    }
  }
}

TEST_P(Wkv6Test, UnderflowOfTheDecayIsZero) {
  Wkv6Op op(1, 16, 1, true);
  Fill(op.k, 0);
  Fill(op.decay, 90);  // e^e^90
  op.Run(*device_, {{0, 1, 0, 0, 0}});
  EXPECT_TRUE(SameBits(op.slots.copy(0), Tensor(16 * 16, 0.0f)));
}

// As SelectiveScan's test of this: a decay close to 1 keeps its distance from 1.
TEST_P(Wkv6Test, DoesNotDriftOverEightThousandTokens) {
  const auto tokens = Few<int32_t>(8192, 400);
  Wkv6Op op(1, 16, tokens, true);
  Fill(op.decay, -6.907f);  // w = 1 − 1e-3
  Fill(op.decay_row, 0);
  Wkv6Op reference = op;
  const std::vector<Segment> segments = {{0, tokens, 0, 0, 0}};
  EXPECT_LT(RelativeError(op.Run(*device_, segments), reference.Run(*reference_, segments)),
            Bound(1e-5));
  EXPECT_LT(RelativeError(op.slots.copy(0), reference.slots.copy(0)), Bound(1e-5));
}

TEST_P(Wkv6Test, CutsOfASegmentDoNotShow) {
  ExpectCutsDoNotShow(*device_, Wkv6Op(2, 80, 20, true), 20, Some<int32_t>({1, 2, 3, 7, 19}));
}

TEST_P(Wkv6Test, ThreadsDoNotShow) {
  for (int threads : Some<int>({1, 2, 3, 4})) {
    ExpectSameOn(*device_, *Another(threads), Wkv6Op(5, 64, 23, true));
  }
}

TEST_P(Wkv6Test, NeighboursAndSlotsDoNotShow) {
  ExpectNeighboursDoNotShow(*device_, Wkv6Op(2, 32, 12, true));
}

TEST_P(Wkv6Test, AnotherTargetSlotLeavesTheSourceUntouched) {
  ExpectSourceSlotUntouched(*device_, Wkv6Op(2, 80, 6, false));
}

TEST_P(Wkv6Test, APaddedSegmentWritesNothing) {
  ExpectPaddedSegmentWritesNothing(*device_, Wkv6Op(2, 16, 6, true));
}

INSTANTIATE_KERNEL_TEST(Wkv6Test);

}  // namespace
}  // namespace ssmd::kernels
