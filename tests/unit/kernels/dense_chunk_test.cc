// The chunked form of a dense linear system: close to the double-precision reference, which steps,
// the same bits for cuts at chunks, threads, neighbours and instruction sets, and step by step
// outside of whole chunks.
#include <gtest/gtest.h>

#include "tests/unit/kernels/dense_test_util.h"

namespace ssmd::kernels {
namespace {

constexpr int32_t kDenseTokens = kDenseChunkTokens;

using DenseChunkTest = LinearScanTest;

// Rows [first, last) of y.
Tensor RowsOf(const Dense& dense, const Tensor& y, int64_t first, int64_t last) {
  const int64_t stride = OutputStride(dense);
  return Tensor(y.begin() + first * stride, y.begin() + last * stride);
}

TEST_P(DenseChunkTest, AgreesWithTheReferenceAndBitwiseWithScalar) {
  constexpr int32_t kFirst = 6 * kDenseTokens + 5;  // more chunks than are read together
  constexpr int32_t kThird = kDenseTokens + 40;
  constexpr int32_t kRows = kFirst + 1 + kThird + kDenseTokens;
  const std::vector<Segment> segments = {{0, kFirst, 0, 0, 0},
                                         {kFirst, 1, 1, 2, 9},
                                         {kFirst + 1, kThird, 3, 3, 5 * kDenseTokens - 21},
                                         {kFirst + 1 + kThird, kDenseTokens, -1, -1, 0}};
  const std::vector<DenseShape> shapes = {{1, 1},   {65, 16}, {5, 3},   {16, 5},  {130, 6}, {64, 7},
                                          {20, 13}, {48, 64}, {17, 24}, {3, 100}, {4, 256}};
  for (const DenseShape& shape : Some(shapes)) {
    SCOPED_TRACE(testing::Message() << shape.channels << " channels, N = " << shape.state_size);
    Dense stepped(shape, kRows);
    Dense reference = stepped;
    Dense ours = stepped.Chunked();
    Dense scalar = ours;
    const Tensor y = Scanned(ours, *device_, segments);
    EXPECT_LT(RelativeError(y, Scanned(reference, *reference_, segments)), Bound(2e-6));
    EXPECT_LT(RelativeError(ours.slots.slab(), reference.slots.slab()), Bound(2e-6));
    EXPECT_TRUE(LikeScalar(y, Scanned(scalar, *scalar_, segments)));
    EXPECT_TRUE(LikeScalar(ours.slots.slab(), scalar.slots.slab()));
    EXPECT_FALSE(SameBits(y, Scanned(stepped, *device_, segments))) << "nothing was chunked";
    ExpectPaddingIsZero(ours);
  }
}

TEST_P(DenseChunkTest, TokensOutsideOfWholeChunksStep) {
  // 21 tokens, a chunk and 19 tokens.
  Dense stepped({40, 17}, kDenseTokens + 40);
  Dense chunked = stepped.Chunked();
  Dense apart = chunked;
  const std::vector<Segment> segments = {{0, kDenseTokens + 40, 0, 1, 3 * kDenseTokens - 21}};
  const Tensor expected = Scanned(stepped, *device_, segments);
  const Tensor y = Scanned(chunked, *device_, segments);
  EXPECT_TRUE(SameBits(RowsOf(chunked, y, 0, 21), RowsOf(stepped, expected, 0, 21)));
  EXPECT_FALSE(SameBits(RowsOf(chunked, y, 21, 21 + kDenseTokens),
                        RowsOf(stepped, expected, 21, 21 + kDenseTokens)));
  // The tail goes on from the state after the chunk.
  Tensor parts(y.size(), 7.0f);
  ScanInto(apart, *device_, {{0, 21 + kDenseTokens, 0, 1, 3 * kDenseTokens - 21}}, parts);
  apart.chunk_step.clear();
  ScanInto(apart, *device_, {{21 + kDenseTokens, 19, 1, 1, 4 * kDenseTokens}}, parts);
  EXPECT_TRUE(SameBits(parts, y));
  EXPECT_TRUE(SameBits(apart.slots.slab(), chunked.slots.slab()));
}

TEST_P(DenseChunkTest, ASegmentWithoutAWholeChunkSteps) {
  constexpr int32_t kMost = 2 * kDenseTokens - 2;
  const struct {
    int32_t length;
    int64_t position;
  } kSegments[] = {{1, 0},
                   {kDenseTokens - 1, 0},
                   {kMost, kDenseTokens + 1},
                   {kDenseTokens, 7},
                   {1, kDenseTokens - 1}};
  for (const auto& segment : kSegments) {
    Dense stepped({20, 9}, kMost);
    Dense chunked = stepped.Chunked();
    const std::vector<Segment> segments = {{0, segment.length, 0, 0, segment.position}};
    EXPECT_TRUE(
        SameBits(Scanned(chunked, *device_, segments), Scanned(stepped, *device_, segments)));
    EXPECT_TRUE(SameBits(chunked.slots.slab(), stepped.slots.slab()));
  }
}

TEST_P(DenseChunkTest, CutsAtChunksDoNotShow) {
  constexpr int32_t kTokens = 7 * kDenseTokens + 13;
  Dense whole = Dense({70, 13}, kTokens).Chunked();
  const Dense fresh = whole;
  const Tensor expected = Scanned(whole, *device_, {{0, kTokens, 0, 0, 0}});
  for (const int32_t piece : Some<int32_t>({kDenseTokens, 2 * kDenseTokens, 5 * kDenseTokens})) {
    Dense cut = fresh;
    Tensor y(expected.size(), 7.0f);
    for (int32_t first = 0; first < kTokens; first += piece) {
      ScanInto(cut, *device_, {{first, std::min(piece, kTokens - first), 0, 0, first}}, y);
    }
    EXPECT_TRUE(SameBits(y, expected)) << "pieces of " << piece;
    EXPECT_TRUE(SameBits(cut.slots.slab(), whole.slots.slab())) << "pieces of " << piece;
  }
}

TEST_P(DenseChunkTest, NeitherThreadsNorNeighboursNorSlotsShow) {
  constexpr int32_t kLength = 2 * kDenseTokens + 3;
  const Dense fresh = Dense({150, 11}, 3 * kLength).Chunked();
  const Segment one = {kLength, kLength, 1, 2, 2 * kDenseTokens - 1};
  Dense together = fresh;
  const std::vector<std::byte> source = together.slots.bytes(1);
  const Tensor all =
      Scanned(together, *device_, {{0, kLength, 0, 0, 0}, one, {2 * kLength, kLength, 3, 3, 5}});
  for (const int threads : Some<int>({1, 2, 3})) {
    Dense alone = fresh;
    const Tensor y = Scanned(alone, *Another(threads), {one});
    EXPECT_TRUE(SameBits(RowsOf(alone, y, kLength, 2 * kLength),
                         RowsOf(together, all, kLength, 2 * kLength)));
    EXPECT_EQ(alone.slots.bytes(2), together.slots.bytes(2));
    EXPECT_EQ(alone.slots.bytes(1), source) << "was written";
  }
}

TEST_P(DenseChunkTest, OutputMayReplaceItsInput) {
  ExpectOutputMayReplaceItsInput(Dense({33, 6}, 5 * kDenseTokens + 2).Chunked());
}

TEST_P(DenseChunkTest, ANanInTheMatrixLeavesPaddingZero) {
  Dense dense = Dense({21, 8}, kDenseTokens).Chunked();
  dense.chunk_step[3] = NAN;
  Scanned(dense, *device_, {{0, kDenseTokens, 0, 0, 0}});
  EXPECT_TRUE(std::isnan(dense.slots.at(0)[0]));
  ExpectPaddingIsZero(dense);
}

INSTANTIATE_KERNEL_TEST(DenseChunkTest);

}  // namespace
}  // namespace ssmd::kernels
