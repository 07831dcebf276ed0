// What the tests of the ops of linear_ops.h share: each has a type of random cases, and is held to
// the same promises.
//
// A case has `width` (numbers of a row), `rows`, `u` (rows, width), `slots` (four), IsPadding(i) of
// an element of the state, and Call(device, segments, u, u_stride, y, y_stride).
#ifndef SSMD_TESTS_UNIT_KERNELS_LINEAR_SCAN_TEST_UTIL_H_
#define SSMD_TESTS_UNIT_KERNELS_LINEAR_SCAN_TEST_UTIL_H_

#include <numbers>
#include <vector>

#include "kernels/linear_ops.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {

inline constexpr int kScanSlots = 4;

// Channel c of row `row`, in channel blocks of so many rows.
inline int64_t InBlocks(int64_t rows, int64_t row, int64_t c) {
  return (c / kChannelBlock * rows + row) * kChannelBlock + c % kChannelBlock;
}

// Channel blocks of so many rows, zero beyond the channels.
inline Tensor RandomBlocks(int64_t rows, int64_t channels, uint32_t seed, float low = -1,
                           float high = 1) {
  Tensor blocks = RandomTensor(rows * PaddedChannels(channels), seed, low, high);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t c = channels; c < PaddedChannels(channels); ++c)
      blocks[InBlocks(rows, row, c)] = 0;
  }
  return blocks;
}

// State rows, likewise.
inline Tensor RandomRows(int64_t rows, int64_t channels, uint32_t seed) {
  const int64_t lanes = PaddedLanes(channels);
  Tensor values = RandomTensor(rows * lanes, seed);
  for (int64_t i = 0; i < rows * lanes; ++i) {
    if (i % lanes >= channels) values[i] = 0;
  }
  return values;
}

template <typename Case>
void ClearPadding(Case& scan, int64_t elements) {
  for (int slot = 0; slot < kScanSlots; ++slot) {
    for (int64_t i = 0; i < elements; ++i) {
      if (scan.IsPadding(i)) scan.slots.at(slot)[i] = 0;
    }
  }
}

// The fields that most params have.
template <typename Params>
Params ParamsOf(const std::vector<Segment>& segments, const float* u, int64_t u_stride, float* y,
                int64_t y_stride) {
  Params params;
  params.segments = segments.data();
  params.segment_count = static_cast<int64_t>(segments.size());
  params.u = u;
  params.u_stride = u_stride;
  params.y = y;
  params.y_stride = y_stride;
  return params;
}

template <typename Case>
int64_t OutputStride(const Case& scan) {
  return scan.width + 6;
}
template <typename Case>
void ScanInto(Case& scan, Device& device, const std::vector<Segment>& segments, Tensor& y) {
  scan.Call(device, segments, scan.u.data(), scan.width, y.data(), OutputStride(scan));
}
// Rows that no segment writes hold 7.
template <typename Case>
Tensor Scanned(Case& scan, Device& device, const std::vector<Segment>& segments) {
  Tensor y(static_cast<size_t>(scan.rows * OutputStride(scan)), 7.0f);
  ScanInto(scan, device, segments, y);
  return y;
}

class LinearScanTest : public KernelTest {
 protected:
  template <typename Case>
  void ExpectPaddingIsZero(Case& scan) {
    for (int slot = 0; slot < kScanSlots; ++slot) {
      const Tensor state = scan.slots.copy(slot);
      for (size_t i = 0; i < state.size(); ++i) {
        if (!scan.IsPadding(static_cast<int64_t>(i))) continue;
        ASSERT_EQ(Bits(state[i]), 0u) << i;
      }
    }
  }

  // Of 23 rows: with the reference within `bound`, and with the scalar code to the bit.
  template <typename Case>
  void ExpectAgreement(Case ours, double bound) {
    const std::vector<Segment> segments = {
        {0, 13, 0, 0, 0}, {13, 1, 1, 2, 9}, {14, 7, 3, 3, 0}, {21, 2, -1, -1, 0}};
    Case scalar = ours;
    Case reference = ours;
    const Tensor y = Scanned(ours, *device_, segments);
    EXPECT_LT(RelativeError(y, Scanned(reference, *reference_, segments)), Bound(bound));
    EXPECT_TRUE(LikeScalar(y, Scanned(scalar, *scalar_, segments)));
    EXPECT_TRUE(LikeScalar(ours.slots.slab(), scalar.slots.slab()));
    for (int slot = 0; slot < kScanSlots; ++slot) {
      EXPECT_LT(RelativeError(ours.slots.copy(slot), reference.slots.copy(slot)), Bound(bound));
    }
    ExpectPaddingIsZero(ours);
  }

  template <typename Case>
  void ExpectCutsDoNotShow(Case whole) {
    const Case fresh = whole;
    const auto tokens = static_cast<int32_t>(whole.rows);
    const Tensor expected = Scanned(whole, *device_, {{0, tokens, 0, 0, 0}});
    for (int32_t chunk : Some<int32_t>({1, 2, 3, 5, 7, 8, 17, tokens - 1})) {
      Case cut = fresh;
      Tensor y(expected.size(), 7.0f);
      for (int32_t first = 0; first < tokens; first += chunk) {
        ScanInto(cut, *device_, {{first, std::min(chunk, tokens - first), 0, 0, first}}, y);
      }
      EXPECT_TRUE(SameBits(y, expected)) << "chunk " << chunk;
      EXPECT_TRUE(SameBits(cut.slots.slab(), whole.slots.slab())) << "chunk " << chunk;
    }
  }

  // Of 40 rows.
  template <typename Case>
  void ExpectThreadsDoNotShow(Case first) {
    const Case fresh = first;
    const std::vector<Segment> segments = {{0, 33, 0, 0, 0}, {33, 1, 1, 2, 5}, {34, 6, 3, 3, 0}};
    const Tensor expected = Scanned(first, *device_, segments);
    for (int threads : Some<int>({1, 2, 3, 4})) {
      Case again = fresh;
      EXPECT_TRUE(SameBits(Scanned(again, *Another(threads), segments), expected)) << threads;
      EXPECT_TRUE(SameBits(again.slots.slab(), first.slots.slab())) << threads;
    }
  }

  // Of 12 rows.
  template <typename Case>
  void ExpectNeighboursAndSlotsDoNotShow(Case together) {
    Case alone = together;
    const Tensor all =
        Scanned(together, *device_, {{0, 5, 3, 3, 0}, {5, 6, 1, 0, 4}, {11, 1, 2, 2, 7}});
    Tensor one(all.size(), 7.0f);
    ScanInto(alone, *device_, {{5, 6, 1, 3, 4}}, one);
    const int64_t stride = OutputStride(together);
    EXPECT_TRUE(SameBits(Tensor(all.begin() + 5 * stride, all.begin() + 11 * stride),
                         Tensor(one.begin() + 5 * stride, one.begin() + 11 * stride)));
    EXPECT_EQ(together.slots.bytes(0), alone.slots.bytes(3));
  }

  // Of 6 rows or more.
  template <typename Case>
  void ExpectAnotherTargetLeavesTheSource(const Case& fresh) {
    for (int32_t length : {1, 2, 6}) {
      Case in_place = fresh;
      Case apart = fresh;
      const std::vector<std::byte> before = in_place.slots.bytes(1);
      const Tensor expected = Scanned(in_place, *device_, {{0, length, 1, 1, 3}});
      EXPECT_TRUE(SameBits(Scanned(apart, *device_, {{0, length, 1, 3, 3}}), expected));
      EXPECT_EQ(apart.slots.bytes(1), before);
      EXPECT_EQ(apart.slots.bytes(3), in_place.slots.bytes(1));
    }
  }

  template <typename Case>
  void ExpectAPaddedSegmentWritesNothing(Case scan) {
    const Tensor before = scan.slots.slab();
    const Tensor y = Scanned(scan, *device_, {{0, 6, 0, -1, 0}});
    EXPECT_TRUE(SameBits(y, Tensor(y.size(), 7.0f)));
    EXPECT_TRUE(SameBits(scan.slots.slab(), before));
  }

  template <typename Case>
  void ExpectOutputMayReplaceItsInput(Case apart) {
    Case in_place = apart;
    const std::vector<Segment> segments = {{0, static_cast<int32_t>(apart.rows), 0, 0, 0}};
    Tensor y(apart.u.size());
    apart.Call(*device_, segments, apart.u.data(), apart.width, y.data(), apart.width);
    in_place.Call(*device_, segments, in_place.u.data(), apart.width, in_place.u.data(),
                  apart.width);
    EXPECT_TRUE(SameBits(in_place.u, y));
  }

  // All of these, of a case type that is made of (shape, rows).
  template <typename Case, typename Shape>
  void ExpectPromises(const Shape& shape) {
    ExpectCutsDoNotShow(Case(shape, 39));
    ExpectThreadsDoNotShow(Case(shape, 40));
    ExpectNeighboursAndSlotsDoNotShow(Case(shape, 12));
    ExpectAnotherTargetLeavesTheSource(Case(shape, 6));
    ExpectAPaddedSegmentWritesNothing(Case(shape, 6));
    ExpectOutputMayReplaceItsInput(Case(shape, 9));
  }
};

inline void ExpectFinite(const Tensor& values) {
  for (const float value : values) ASSERT_TRUE(std::isfinite(value));
}

}  // namespace ssmd::kernels

#endif  // SSMD_TESTS_UNIT_KERNELS_LINEAR_SCAN_TEST_UTIL_H_
