// The fast chunks of the Mamba-2 recurrence: close to double precision, for a long history too; the
// same bits for cuts at the grid, and whatever the other rows are.
#include <gtest/gtest.h>

#include "kernels/cuda/fast_ops.h"
#include "tests/unit/cuda/ssd_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

constexpr double kSsdPromptTolerance = 2e-5;
constexpr int32_t kGrid = kSsdChunkTokens;

class FastSsdPrompt : public CudaTest {
 protected:
  // Returns the largest error of outputs and states.
  double ErrorOf(const Ssd& fresh, const std::vector<Segment>& segments) {
    Ssd ours = fresh;
    Ssd reference = fresh;
    const double of_y =
        RelativeError(RunSsd(prompt_, ours, segments), RunSsd(reference_, reference, segments));
    return std::max(of_y, RelativeError(ours.slots.slab(), reference.slots.slab()));
  }

  const Op<SsdScanParams> prompt_ = Cuda(fast::SsdPrompt);
  const Op<SsdScanParams> step_ = Cuda(fast::SsdStep);
  const Op<SsdScanParams> reference_ = Reference(&Device::SsdScan);
};

TEST_F(FastSsdPrompt, IsCloseToTheReference) {
  constexpr int32_t kFirst = 2 * kGrid + 5;
  constexpr int32_t kThird = kGrid + 40;
  constexpr int64_t kRows = kFirst + 1 + kThird + kGrid;
  const SsdShape kShapes[] = {
      {1, 1, 1, 1, kRows},    {3, 5, 1, 3, kRows},   {4, 17, 2, 5, kRows},   {2, 63, 2, 17, kRows},
      {2, 64, 1, 128, kRows}, {1, 80, 1, 64, kRows}, {1, 30, 1, 256, kRows}, {1, 48, 1, 100, kRows},
  };
  for (const SsdShape& shape : kShapes) {
    SCOPED_TRACE(testing::Message() << shape.heads << " heads of " << shape.head_dim << " in "
                                    << shape.groups << " groups, N = " << shape.state_size);
    // Two chunks and a tail; a token; tokens, a chunk and a tail, to another slot; padding.
    EXPECT_LT(ErrorOf(Ssd(shape), {{0, kFirst, 0, 0, 0},
                                   {kFirst, 1, 1, 1, 9},
                                   {kFirst + 1, kThird, 3, 2, 5 * kGrid - 21},
                                   {kFirst + 1 + kThird, kGrid, -1, -1, 0}}),
              kSsdPromptTolerance);
  }
}

TEST_F(FastSsdPrompt, TokensOutsideOfWholeChunksStep) {
  // 21 tokens, a chunk and 19 tokens.
  Ssd stepped({3, 40, 1, 17, kGrid + 40});
  Ssd chunked = stepped;
  const std::vector<Segment> segments = {{0, kGrid + 40, 0, 1, 3 * kGrid - 21}};
  const Tensor expected = RunSsd(step_, stepped, segments);
  const Tensor y = RunSsd(prompt_, chunked, segments);
  const int64_t stride = chunked.y_stride();
  EXPECT_TRUE(SameBits(RowsOf(y, stride, 0, 21), RowsOf(expected, stride, 0, 21)));
  EXPECT_FALSE(
      SameBits(RowsOf(y, stride, 21, 21 + kGrid), RowsOf(expected, stride, 21, 21 + kGrid)));
}

TEST_F(FastSsdPrompt, CutsAtTheGridDoNotShow) {
  constexpr int32_t kTokens = 4 * kGrid + 7;
  constexpr int32_t kPosition = kGrid - 5;
  Ssd whole({2, 40, 1, 24, kTokens});
  const Ssd fresh = whole;
  const Tensor expected = RunSsd(prompt_, whole, {{0, kTokens, 0, 1, kPosition}});
  for (int32_t at : {5, 5 + kGrid, 5 + 3 * kGrid}) {
    Ssd cut = fresh;
    const Tensor first = RunSsd(prompt_, cut, {{0, at, 0, 1, kPosition}});
    const Tensor rest = RunSsd(prompt_, cut, {{at, kTokens - at, 1, 1, kPosition + at}});
    const int64_t stride = cut.y_stride();
    EXPECT_TRUE(SameBits(RowsOf(first, stride, 0, at), RowsOf(expected, stride, 0, at))) << at;
    EXPECT_TRUE(SameBits(RowsOf(rest, stride, at, kTokens), RowsOf(expected, stride, at, kTokens)))
        << at;
    EXPECT_TRUE(SameBits(cut.slots.slab(), whole.slots.slab())) << at;
  }
}

TEST_F(FastSsdPrompt, NeighboursAndSlotsDoNotShow) {
  constexpr int32_t kLength = kGrid + 9;
  Ssd together({4, 30, 2, 16, 3 * kLength});
  Ssd alone = together;
  const Tensor all = RunSsd(prompt_, together,
                            {{0, kLength, 3, 3, 0},
                             {kLength, kLength, 1, 0, 2 * kGrid},
                             {2 * kLength, kLength, 2, 2, 7}});
  const Tensor one = RunSsd(prompt_, alone, {{kLength, kLength, 1, 3, 2 * kGrid}});
  EXPECT_TRUE(SameBits(RowsOf(all, together.y_stride(), kLength, 2 * kLength),
                       RowsOf(one, together.y_stride(), kLength, 2 * kLength)));
  EXPECT_TRUE(SameBits(together.slots.copy(0), alone.slots.copy(3)));
}

// B and C by 16 bytes are B and C.
TEST_F(FastSsdPrompt, AlignmentDoesNotShow) {
  constexpr int64_t kRows = 2 * kGrid;
  Ssd plain({2, 64, 1, 32, kRows});
  Ssd aligned = plain;
  Tensor b(static_cast<size_t>(kRows * 36)), c(b.size());
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t n = 0; n < 32; ++n) {
      b[row * 36 + n] = plain.b[row * 35 + n];
      c[row * 36 + n] = plain.c[row * 36 + n];
    }
  }
  const std::vector<Segment> segments = {{0, 2 * kGrid, 0, 0, 0}};
  const Op<SsdScanParams> by_16_bytes = [&](SsdScanParams params) {
    params.b = b.data();
    params.c = c.data();
    params.b_stride = params.c_stride = 36;
    prompt_(params);
  };
  EXPECT_TRUE(SameBits(RunSsd(by_16_bytes, aligned, segments), RunSsd(prompt_, plain, segments)));
  EXPECT_TRUE(SameBits(aligned.slots.slab(), plain.slots.slab()));
}

TEST_F(FastSsdPrompt, GoesWithoutWhatIsOptional) {
  for (int left_out = 0; left_out < 3; ++left_out) {
    Ssd ssd({4, 20, 2, 6, kGrid});
    ssd.dt_min = 0.05f;
    ssd.dt_max = 0.3f;
    Tensor& optional = left_out == 0 ? ssd.dt : left_out == 1 ? ssd.dt_bias : ssd.d;
    optional.clear();
    EXPECT_LT(ErrorOf(ssd, {{0, kGrid, 0, 0, 0}}), kSsdPromptTolerance) << left_out;
  }
}

TEST_F(FastSsdPrompt, OutputMayReplaceItsInput) {
  constexpr int32_t kLength = 2 * kGrid + 3;
  const std::vector<Segment> segments = {{0, kLength, 0, 0, kGrid - 1}};
  Ssd apart({2, 35, 1, 16, kLength});
  Ssd in_place = apart;
  const Tensor y = RunSsd(prompt_, apart, segments);
  RunInPlace(prompt_, in_place, segments);
  for (int64_t row = 0; row < kLength; ++row) {
    for (int64_t i = 0; i < 70; ++i) {
      ASSERT_EQ(Bits(in_place.x[row * 71 + i]), Bits(y[row * apart.y_stride() + i])) << row;
    }
  }
}

TEST_F(FastSsdPrompt, IsSoundAtTheEndsOfTheRange) {
  const struct {
    float dt, a;
    int64_t every;  // how often dt is that
  } kLimits[] = {{30, -1e30f, 1}, {30, -3e38f, 1}, {30, -1e30f, 5}, {-200, -1, 1}, {25, -16, 7}};
  for (const auto& c : kLimits) {
    Ssd ssd({2, 40, 1, 16, 2 * kGrid});
    for (int64_t row = 0; row < 2 * kGrid; row += c.every) {
      for (int64_t head = 0; head < 2; ++head) ssd.dt[row * 4 + head] = c.dt;
    }
    Fill(ssd.a, c.a);
    EXPECT_LT(ErrorOf(ssd, {{0, 2 * kGrid, 0, 0, 0}}), kSsdPromptTolerance) << c.dt << " " << c.a;
  }
}

TEST_F(FastSsdPrompt, PaddingStaysZeroWhenBIsNotFinite) {
  Ssd ssd({2, 35, 1, 16, kGrid});
  ssd.b[3] = INFINITY;
  RunSsd(prompt_, ssd, {{0, kGrid, 0, 1, 0}});
  Tensor cleared = ssd.slots.copy(1);
  ssd.ClearPadding(cleared.data());
  EXPECT_TRUE(SameBits(ssd.slots.copy(1), cleared));
}

TEST_F(FastSsdPrompt, DoesNotDriftOverEightThousandTokens) {
  constexpr int32_t kTokens = 8192;
  // softplus(−6.907) = 1e-3, softplus(−9.21) = 1e-4.
  const std::pair<float, float> kSteps[] = {{-6.907f, 0}, {-6.907f, -6.907f}, {-9.21f, -9.21f}};
  for (const auto& [low, high] : kSteps) {
    Ssd ssd({1, 16, 1, 16, kTokens});
    ssd.dt = RandomTensor(kTokens * 3, 9, low, high);
    Fill(ssd.dt_bias, 0);
    Fill(ssd.a, -1);
    EXPECT_LT(ErrorOf(ssd, {{0, kTokens, 0, 0, 0}}), kSsdPromptTolerance) << low;
  }
}

}  // namespace
}  // namespace ssmd::kernels::cuda
