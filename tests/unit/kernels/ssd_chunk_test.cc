// The chunked form of the Mamba-2 recurrence: close to the double-precision reference, the same
// bits for cuts at chunks, threads, neighbours and instruction sets, and step by step outside of
// whole chunks.
#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/kernels/ssd_test_util.h"

namespace ssmd::kernels {
namespace {

constexpr int32_t kChunk = kSsdChunkTokens;

using SsdChunkTest = KernelTest;

// Rows [first, last) of y.
Tensor RowsOf(const Ssd& ssd, const Tensor& y, int64_t first, int64_t last) {
  return Tensor(y.begin() + first * ssd.y_stride(), y.begin() + last * ssd.y_stride());
}

TEST_P(SsdChunkTest, AgreesWithTheReferenceAndBitwiseWithScalar) {
  constexpr int32_t kFirst = 2 * kChunk + 5;
  constexpr int32_t kThird = kChunk + 40;
  constexpr int64_t kRows = kFirst + 1 + kThird + kChunk;
  const std::vector<SsdShape> shapes = {
      {1, 1, 1, 1, kRows},  {3, 5, 1, 3, kRows},   {2, 16, 2, 16, kRows},  {4, 17, 2, 5, kRows},
      {8, 33, 4, 7, kRows}, {4, 63, 2, 17, kRows}, {2, 64, 1, 128, kRows}, {1, 65, 1, 64, kRows},
      {3, 80, 3, 9, kRows}, {2, 130, 1, 4, kRows}, {1, 30, 1, 256, kRows},
  };
  for (const SsdShape& shape : Some(shapes)) {
    SCOPED_TRACE(testing::Message() << shape.heads << " heads of " << shape.head_dim << " in "
                                    << shape.groups << " groups, N = " << shape.state_size);
    const std::vector<Segment> segments = {{0, kFirst, 0, 0, 0},
                                           {kFirst, 1, 1, 2, 9},
                                           {kFirst + 1, kThird, 3, 3, 5 * kChunk - 21},
                                           {kFirst + 1 + kThird, kChunk, -1, -1, 0}};
    Ssd reference(shape);
    Ssd ours = reference.Chunked();
    Ssd scalar = ours;
    Ssd stepped = reference;
    const Tensor y = ours.Run(*device_, segments);
    EXPECT_LT(RelativeError(y, reference.Run(*reference_, segments)), Bound(2e-6));
    EXPECT_LT(RelativeError(ours.slots.slab(), reference.slots.slab()), Bound(2e-6));
    EXPECT_TRUE(LikeScalar(y, scalar.Run(*scalar_, segments)));
    EXPECT_TRUE(LikeScalar(ours.slots.slab(), scalar.slots.slab()));
    EXPECT_FALSE(SameBits(y, stepped.Run(*device_, segments))) << "nothing was chunked";
  }
}

TEST_P(SsdChunkTest, TokensOutsideOfWholeChunksStep) {
  // 21 tokens, a chunk and 19 tokens.
  Ssd stepped({3, 40, 1, 17, kChunk + 40});
  Ssd chunked = stepped.Chunked();
  const std::vector<Segment> segments = {{0, kChunk + 40, 0, 1, 3 * kChunk - 21}};
  const Tensor expected = stepped.Run(*device_, segments);
  const Tensor y = chunked.Run(*device_, segments);
  EXPECT_TRUE(SameBits(RowsOf(chunked, y, 0, 21), RowsOf(stepped, expected, 0, 21)));
  EXPECT_FALSE(
      SameBits(RowsOf(chunked, y, 21, 21 + kChunk), RowsOf(stepped, expected, 21, 21 + kChunk)));
  // The tail goes on from the state after the chunk.
  Ssd apart = Ssd({3, 40, 1, 17, kChunk + 40}).Chunked();
  Tensor parts(y.size(), 7.0f);
  apart.RunInto(*device_, {{0, 21 + kChunk, 0, 1, 3 * kChunk - 21}}, parts);
  apart.scratch.clear();
  apart.RunInto(*device_, {{21 + kChunk, 19, 1, 1, 4 * kChunk}}, parts);
  EXPECT_TRUE(SameBits(parts, y));
  EXPECT_TRUE(SameBits(apart.slots.slab(), chunked.slots.slab()));
}

TEST_P(SsdChunkTest, ASegmentWithoutAWholeChunkSteps) {
  constexpr int32_t kMost = 2 * kChunk - 2;
  const struct {
    int32_t length;
    int64_t position;
  } kSegments[] = {{1, 0}, {kChunk - 1, 0}, {kMost, kChunk + 1}, {kChunk, 7}, {1, kChunk - 1}};
  for (const auto& segment : kSegments) {
    Ssd stepped({2, 35, 1, 16, kMost});
    Ssd chunked = stepped.Chunked();
    const std::vector<Segment> segments = {{0, segment.length, 0, 1, segment.position}};
    EXPECT_TRUE(SameBits(chunked.Run(*device_, segments), stepped.Run(*device_, segments)));
    EXPECT_TRUE(SameBits(chunked.slots.slab(), stepped.slots.slab()));
  }
}

TEST_P(SsdChunkTest, CutsAtChunksDoNotShowAndOthersHardly) {
  constexpr int32_t kTokens = 4 * kChunk + 30;
  constexpr int64_t kPosition = 2 * kChunk - 13;  // the first chunk begins at row 13
  const Ssd fresh = Ssd({3, 70, 1, 17, kTokens}).Chunked();
  Ssd whole = fresh;
  const Tensor expected = whole.Run(*device_, {{0, kTokens, 0, 0, kPosition}});
  const auto cut = [&](std::vector<int32_t> ends, Tensor* y) {
    Ssd ssd = fresh;
    ends.push_back(kTokens);
    int32_t first = 0;
    for (const int32_t end : ends) {
      ssd.RunInto(*device_, {{first, end - first, 0, 0, kPosition + first}}, *y);
      first = end;
    }
    return ssd.slots.slab();
  };
  const std::vector<std::vector<int32_t>> hidden = {
      {5, 13, 13 + kChunk},
      {13},
      {13 + kChunk},
      {13 + 2 * kChunk, 13 + 4 * kChunk},
      {13 + kChunk, 13 + 2 * kChunk, 13 + 3 * kChunk, kTokens - 1}};
  for (const auto& ends : Some(hidden)) {
    Tensor y(expected.size(), 7.0f);
    EXPECT_TRUE(SameBits(cut(ends, &y), whole.slots.slab()));
    EXPECT_TRUE(SameBits(y, expected));
  }
  const std::vector<std::vector<int32_t>> seen = {{14}, {50, 100}, {12 + kChunk}};
  for (const auto& ends : Some(seen)) {
    Tensor y(expected.size(), 7.0f);
    EXPECT_LT(RelativeError(cut(ends, &y), whole.slots.slab()), 1e-5);
    EXPECT_LT(RelativeError(y, expected), 1e-5);
    EXPECT_FALSE(SameBits(y, expected));
  }
}

TEST_P(SsdChunkTest, ThreadsDoNotShow) {
  constexpr int32_t kTokens = 3 * kChunk;
  const Ssd fresh = Ssd({6, 72, 3, 24, kTokens + 80}).Chunked();
  const std::vector<Segment> segments = {
      {0, kTokens, 0, 0, 0}, {kTokens, 1, 1, 2, 5}, {kTokens + 1, 79, 3, 3, kChunk - 3}};
  Ssd first = fresh;
  const Tensor expected = first.Run(*device_, segments);
  for (int threads : Some<int>({1, 2, 3, 4})) {
    Ssd again = fresh;
    const auto device = Another(threads);
    EXPECT_TRUE(SameBits(again.Run(*device, segments), expected)) << threads;
    EXPECT_TRUE(SameBits(again.slots.slab(), first.slots.slab())) << threads;
  }
}

TEST_P(SsdChunkTest, NeighboursAndSlotsDoNotShow) {
  constexpr int32_t kLength = kChunk + 9;
  Ssd together = Ssd({4, 30, 2, 16, 3 * kLength}).Chunked();
  Ssd alone = together;
  const Tensor before = together.slots.copy(1);
  const Tensor all = together.Run(*device_, {{0, kLength, 3, 3, 0},
                                             {kLength, kLength, 1, 0, 2 * kChunk},
                                             {2 * kLength, kLength, 2, 2, 7}});
  Tensor one(all.size(), 7.0f);
  alone.RunInto(*device_, {{kLength, kLength, 1, 3, 2 * kChunk}}, one);
  EXPECT_TRUE(
      SameBits(RowsOf(alone, one, kLength, 2 * kLength), RowsOf(alone, all, kLength, 2 * kLength)));
  EXPECT_TRUE(SameBits(together.slots.copy(0), alone.slots.copy(3)));
  EXPECT_TRUE(SameBits(together.slots.copy(1), before)) << "the source was written";
}

TEST_P(SsdChunkTest, OutputMayReplaceItsInput) {
  constexpr int32_t kLength = 2 * kChunk + 3;
  const std::vector<Segment> segments = {{0, kLength, 0, 0, kChunk - 1}};
  Ssd apart = Ssd({2, 35, 1, 16, kLength}).Chunked();
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
  for (int64_t r = 0; r < kLength; ++r) {
    const auto row = static_cast<size_t>(r * params.x_stride);
    for (size_t i = row; i < row + 70; ++i) ASSERT_EQ(Bits(y[i]), Bits(in_place.x[i])) << r;
  }
}

TEST_P(SsdChunkTest, GoesWithoutWhatIsOptional) {
  const std::vector<Segment> segments = {{0, kChunk, 0, 0, 0}};
  for (int left_out = 0; left_out < 3; ++left_out) {
    Ssd reference({4, 20, 2, 6, kChunk});
    const Tensor with_all = reference.Chunked().Run(*device_, segments);
    Tensor& optional = left_out == 0   ? reference.dt
                       : left_out == 1 ? reference.dt_bias
                                       : reference.d;
    optional.clear();
    const Tensor y = reference.Chunked().Run(*device_, segments);
    EXPECT_LT(RelativeError(y, reference.Run(*reference_, segments)), Bound(2e-6)) << left_out;
    EXPECT_FALSE(SameBits(y, with_all)) << left_out;
  }
}

TEST_P(SsdChunkTest, ClampsTheStep) {
  Ssd reference({2, 20, 1, 6, 2 * kChunk});
  reference.dt_min = 0.05f;
  reference.dt_max = 0.3f;
  const std::vector<Segment> segments = {{0, 2 * kChunk, 0, 0, 0}};
  const Tensor y = reference.Chunked().Run(*device_, segments);
  EXPECT_LT(RelativeError(y, reference.Run(*reference_, segments)), Bound(2e-6));
}

// Of a chunk that forgets everything at each step, at some, or nothing at all: no exponent
// overflows, and what is far apart in size does not mix.
TEST_P(SsdChunkTest, IsSoundAtTheEndsOfTheRange) {
  const std::vector<Segment> segments = {{0, 2 * kChunk, 0, 0, 0}};
  const struct {
    float dt, a;
    int64_t every;  // how often dt is that
  } kCases[] = {{30, -1e30f, 1}, {30, -3e38f, 1}, {30, -1e30f, 5}, {-200, -1, 1}, {25, -16, 7}};
  for (const auto& c : kCases) {
    SCOPED_TRACE(testing::Message() << c.dt << " " << c.a);
    Ssd reference({2, 40, 1, 16, 2 * kChunk});
    for (int64_t row = 0; row < 2 * kChunk; row += c.every) {
      for (int64_t head = 0; head < 2; ++head) reference.dt[row * 4 + head] = c.dt;
    }
    Fill(reference.a, c.a);
    Ssd ours = reference.Chunked();
    const Tensor y = ours.Run(*device_, segments);
    EXPECT_LT(RelativeError(y, reference.Run(*reference_, segments)), Bound(2e-6));
    EXPECT_LT(RelativeError(ours.slots.copy(0), reference.slots.copy(0)), Bound(2e-6));
  }
}

TEST_P(SsdChunkTest, TinyStepsLeaveTheStateAsItIs) {
  Ssd ssd = Ssd({2, 40, 1, 16, kChunk}).Chunked();
  Fill(ssd.dt, -200);  // softplus is below the normal numbers
  const Tensor before = ssd.slots.copy(0);
  ssd.Run(*device_, {{0, kChunk, 0, 0, 0}});
  EXPECT_TRUE(SameBits(ssd.slots.copy(0), before));
}

TEST_P(SsdChunkTest, ANanStaysInItsSegmentAndPaddingStaysZero) {
  Ssd ssd = Ssd({2, 35, 1, 16, 2 * kChunk}).Chunked();
  Ssd clean = ssd;
  ssd.b[3] = NAN;
  const std::vector<Segment> segments = {{0, kChunk, 0, 0, 0}, {kChunk, kChunk, 1, 1, 0}};
  const Tensor y = ssd.Run(*device_, segments);
  const Tensor expected = clean.Run(*device_, segments);
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_TRUE(
      SameBits(RowsOf(ssd, y, kChunk, 2 * kChunk), RowsOf(ssd, expected, kChunk, 2 * kChunk)));
  const Tensor state = ssd.slots.copy(0);
  EXPECT_TRUE(std::isnan(state[3 * PaddedLanes(35)]));
  Tensor cleared = state;
  ssd.ClearPadding(cleared.data());
  EXPECT_TRUE(SameBits(state, cleared));
}

TEST_P(SsdChunkTest, DoesNotDriftOverEightThousandTokens) {
  const int64_t tokens = Few<int64_t>(8192, 512);
  const struct {
    float dt_low, dt_high;  // before softplus; see the same test of the steps
    double bound;
  } kRuns[] = {{-6.907f, 0, 2e-6}, {-6.907f, -6.907f, 5e-6}, {-9.21f, -9.21f, 1e-5}};
  for (const auto& run : kRuns) {
    Ssd reference({1, 16, 1, 16, tokens});
    reference.dt = RandomTensor(tokens * 3, 9, run.dt_low, run.dt_high);
    Fill(reference.dt_bias, 0);
    Fill(reference.a, -1);
    Ssd ssd = reference.Chunked();
    const std::vector<Segment> segments = {{0, static_cast<int32_t>(tokens), 0, 0, 0}};
    EXPECT_LT(RelativeError(ssd.Run(*device_, segments), reference.Run(*reference_, segments)),
              Bound(run.bound))
        << run.dt_low;
    EXPECT_LT(RelativeError(ssd.slots.copy(0), reference.slots.copy(0)), Bound(run.bound))
        << run.dt_low;
  }
}

INSTANTIATE_KERNEL_TEST(SsdChunkTest);

}  // namespace
}  // namespace ssmd::kernels
