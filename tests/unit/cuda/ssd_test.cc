// The plain Mamba-2 recurrence gives the CPU's bits, outputs and states, step by step and in
// chunks.
#include <gtest/gtest.h>

#include "kernels/cuda/plain_ops.h"
#include "tests/unit/cuda/ssd_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

constexpr int32_t kChunk = kSsdChunkTokens;

class PlainSsd : public CudaTest {
 protected:
  void ExpectTheBitsOfTheCpu(Ssd ours, const std::vector<Segment>& segments) {
    Ssd expected = ours;
    EXPECT_TRUE(SameBits(RunSsd(cuda_, ours, segments), RunSsd(cpu_, expected, segments)));
    EXPECT_TRUE(SameBits(ours.slots.slab(), expected.slots.slab()));
  }

  const Op<SsdScanParams> cuda_ = Cuda(plain::SsdScan);
  const Op<SsdScanParams> cpu_ = Cpu(&Device::SsdScan);
};

TEST_F(PlainSsd, GivesTheBitsOfTheCpu) {
  const SsdShape kSsdShapes[] = {
      {1, 1, 1, 1, 23},  {3, 5, 1, 3, 23},   {2, 16, 2, 16, 23},  {4, 17, 2, 5, 23},
      {8, 33, 8, 7, 23}, {4, 63, 2, 17, 23}, {2, 64, 1, 128, 23}, {1, 65, 1, 64, 23},
      {3, 80, 3, 9, 23}, {2, 130, 1, 4, 23}, {1, 64, 1, 256, 23},
  };
  for (const SsdShape& shape : kSsdShapes) {
    SCOPED_TRACE(testing::Message() << shape.heads << " heads of " << shape.head_dim << " in "
                                    << shape.groups << " groups, N = " << shape.state_size);
    ExpectTheBitsOfTheCpu(
        Ssd(shape), {{0, 13, 0, 0, 0}, {13, 1, 1, 2, 9}, {14, 7, 3, 3, 0}, {21, 2, -1, -1, 0}});
  }
}

TEST_F(PlainSsd, ChunksGiveTheBitsOfTheCpu) {
  constexpr int32_t kFirst = 2 * kChunk + 5;
  constexpr int32_t kThird = kChunk + 40;
  constexpr int64_t kRows = kFirst + 1 + kThird + kChunk;
  const SsdShape kSsdShapes[] = {
      {1, 1, 1, 1, kRows},    {3, 5, 1, 3, kRows},   {4, 17, 2, 5, kRows},   {4, 63, 2, 17, kRows},
      {2, 64, 1, 128, kRows}, {1, 80, 1, 64, kRows}, {1, 30, 1, 256, kRows},
  };
  for (const SsdShape& shape : kSsdShapes) {
    SCOPED_TRACE(testing::Message() << shape.heads << " heads of " << shape.head_dim << " in "
                                    << shape.groups << " groups, N = " << shape.state_size);
    // Two chunks and a tail; a token; tokens, a chunk and a tail, to another slot; padding.
    ExpectTheBitsOfTheCpu(Ssd(shape).Chunked(), {{0, kFirst, 0, 0, 0},
                                                 {kFirst, 1, 1, 1, 9},
                                                 {kFirst + 1, kThird, 3, 2, 5 * kChunk - 21},
                                                 {kFirst + 1 + kThird, kChunk, -1, -1, 0}});
  }
}

TEST_F(PlainSsd, GoesWithoutWhatIsOptional) {
  for (int left_out = 0; left_out < 3; ++left_out) {
    Ssd ssd({4, 20, 2, 6, kChunk + 9});
    Tensor& optional = left_out == 0 ? ssd.dt : left_out == 1 ? ssd.dt_bias : ssd.d;
    optional.clear();
    ExpectTheBitsOfTheCpu(ssd, {{0, 9, 0, 0, 0}});
    ExpectTheBitsOfTheCpu(ssd.Chunked(), {{0, kChunk + 9, 0, 0, 0}});
  }
}

TEST_F(PlainSsd, ClampsTheStep) {
  Ssd ssd({2, 20, 1, 6, kChunk});
  ssd.dt_min = 0.05f;
  ssd.dt_max = 0.3f;
  ExpectTheBitsOfTheCpu(ssd, {{0, 9, 0, 0, 0}});
  ExpectTheBitsOfTheCpu(ssd.Chunked(), {{0, kChunk, 0, 0, 0}});
}

TEST_F(PlainSsd, GivesTheBitsOfTheCpuAtTheEndsOfTheRange) {
  for (float dt : {-200.0f, -90.0f, 21.0f, 30.0f}) {
    for (float a : {-1.0f, -1e30f}) {
      Ssd ssd({2, 20, 1, 6, kChunk});
      Fill(ssd.dt, dt);
      Fill(ssd.a, a);
      ExpectTheBitsOfTheCpu(ssd, {{0, 9, 0, 0, 0}});
      ExpectTheBitsOfTheCpu(ssd.Chunked(), {{0, kChunk, 0, 0, 0}});
    }
  }
}

TEST_F(PlainSsd, CutsDoNotShow) {
  constexpr int32_t kTokens = 39;
  Ssd whole({2, 70, 1, 17, kTokens});
  const Ssd fresh = whole;
  const Tensor expected = RunSsd(cuda_, whole, {{0, kTokens, 0, 0, 0}});
  for (int32_t chunk : {1, 3, 4, 16, 38}) {
    Ssd cut = fresh;
    for (int32_t first = 0; first < kTokens; first += chunk) {
      const int32_t length = std::min(chunk, kTokens - first);
      const Tensor y = RunSsd(cuda_, cut, {{first, length, 0, 0, first}});
      EXPECT_TRUE(SameBits(RowsOf(y, cut.y_stride(), first, first + length),
                           RowsOf(expected, cut.y_stride(), first, first + length)))
          << "chunk " << chunk;
    }
    EXPECT_TRUE(SameBits(cut.slots.slab(), whole.slots.slab()));
  }
}

TEST_F(PlainSsd, NeighboursAndSlotsDoNotShow) {
  constexpr int32_t kLength = kChunk + 9;
  for (const bool chunked : {false, true}) {
    const Ssd fresh({4, 30, 2, 16, 3 * kLength});
    Ssd together = chunked ? fresh.Chunked() : fresh;
    Ssd alone = together;
    const Tensor all = RunSsd(cuda_, together,
                              {{0, kLength, 3, 3, 0},
                               {kLength, kLength, 1, 0, 2 * kChunk},
                               {2 * kLength, kLength, 2, 2, 7}});
    const Tensor one = RunSsd(cuda_, alone, {{kLength, kLength, 1, 3, 2 * kChunk}});
    EXPECT_TRUE(SameBits(RowsOf(all, together.y_stride(), kLength, 2 * kLength),
                         RowsOf(one, together.y_stride(), kLength, 2 * kLength)));
    EXPECT_TRUE(SameBits(together.slots.copy(0), alone.slots.copy(3)));
  }
}

TEST_F(PlainSsd, OutputMayReplaceItsInput) {
  constexpr int32_t kLength = kChunk + 9;
  const std::vector<Segment> segments = {{0, kLength, 0, 0, kChunk - 2}};
  for (const bool chunked : {false, true}) {
    const Ssd fresh({2, 35, 1, 16, kLength});
    Ssd ours = chunked ? fresh.Chunked() : fresh;
    Ssd expected = ours;
    RunInPlace(cuda_, ours, segments);
    RunInPlace(cpu_, expected, segments);
    EXPECT_TRUE(SameBits(ours.x, expected.x)) << chunked;
  }
}

TEST_F(PlainSsd, PaddingStaysZeroWhenBIsNotFinite) {
  for (const bool chunked : {false, true}) {
    const Ssd fresh({2, 35, 1, 16, kChunk});
    Ssd ssd = chunked ? fresh.Chunked() : fresh;
    ssd.b[3] = INFINITY;
    RunSsd(cuda_, ssd, {{0, kChunk, 0, 1, 0}});
    Tensor cleared = ssd.slots.copy(1);
    ssd.ClearPadding(cleared.data());
    EXPECT_TRUE(SameBits(ssd.slots.copy(1), cleared)) << chunked;
  }
}

}  // namespace
}  // namespace ssmd::kernels::cuda
