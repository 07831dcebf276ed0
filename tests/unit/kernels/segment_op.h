// What every op over segments promises, as tests of any of them. An Op has its inputs and its state
// slots (0 to 3), and
//   void RunInto(Device&, const std::vector<Segment>&, Tensor& y)   with y of (rows, y_stride())
//   Tensor Run(Device&, const std::vector<Segment>&)                rows that it does not write
//   hold 7 Slots slots
#ifndef SSMD_TESTS_UNIT_KERNELS_SEGMENT_OP_H_
#define SSMD_TESTS_UNIT_KERNELS_SEGMENT_OP_H_

#include <algorithm>
#include <vector>

#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {

// Segments of 23 rows: in place, single, of another slot, and padded.
inline std::vector<Segment> MixedSegments() {
  return {{0, 13, 0, 0, 0}, {13, 1, 1, 2, 9}, {14, 7, 3, 3, 5}, {21, 2, -1, -1, 0}};
}

// `cuts` are lengths of the pieces that `tokens` tokens of slot 0 come in.
template <typename Op>
void ExpectCutsDoNotShow(Device& device, const Op& fresh, int32_t tokens,
                         const std::vector<int32_t>& cuts) {
  Op whole = fresh;
  const Tensor expected = whole.Run(device, {{0, tokens, 0, 0, 0}});
  for (const int32_t piece : cuts) {
    Op cut = fresh;
    Tensor y(expected.size(), 7.0f);
    for (int32_t first = 0; first < tokens; first += piece) {
      const int32_t length = std::min(piece, tokens - first);
      cut.RunInto(device, {{first, length, 0, 0, first}}, y);
    }
    EXPECT_TRUE(SameBits(y, expected)) << "pieces of " << piece;
    EXPECT_TRUE(SameBits(cut.slots.slab(), whole.slots.slab())) << "pieces of " << piece;
  }
}

// REQUIRES: the op has 23 rows.
template <typename Op>
void ExpectSameOn(Device& device, Device& other, const Op& fresh) {
  Op first = fresh;
  Op again = fresh;
  const Tensor expected = first.Run(device, MixedSegments());
  EXPECT_TRUE(SameBits(again.Run(other, MixedSegments()), expected));
  EXPECT_TRUE(SameBits(again.slots.slab(), first.slots.slab()));
}

// REQUIRES: the op has 12 rows.
template <typename Op>
void ExpectNeighboursDoNotShow(Device& device, const Op& fresh) {
  Op together = fresh;
  Op alone = fresh;
  const Tensor all = together.Run(device, {{0, 5, 3, 3, 0}, {5, 6, 1, 0, 4}, {11, 1, 2, 2, 7}});
  Tensor one(all.size(), 7.0f);
  alone.RunInto(device, {{5, 6, 1, 3, 4}}, one);
  const int64_t width = fresh.y_stride();
  EXPECT_TRUE(SameBits(Tensor(all.begin() + 5 * width, all.begin() + 11 * width),
                       Tensor(one.begin() + 5 * width, one.begin() + 11 * width)));
  EXPECT_TRUE(SameBits(together.slots.copy(0), alone.slots.copy(3)));
}

// REQUIRES: the op has 6 rows.
template <typename Op>
void ExpectSourceSlotUntouched(Device& device, const Op& fresh) {
  for (const int32_t length : {1, 6}) {
    Op in_place = fresh;
    Op apart = fresh;
    const Tensor before = in_place.slots.copy(1);
    const Tensor expected = in_place.Run(device, {{0, length, 1, 1, 3}});
    EXPECT_FALSE(SameBits(in_place.slots.copy(1), before));
    EXPECT_TRUE(SameBits(apart.Run(device, {{0, length, 1, 3, 3}}), expected));
    EXPECT_TRUE(SameBits(apart.slots.copy(1), before));
    EXPECT_TRUE(SameBits(apart.slots.copy(3), in_place.slots.copy(1)));
  }
}

// REQUIRES: the op has 6 rows.
template <typename Op>
void ExpectPaddedSegmentWritesNothing(Device& device, const Op& fresh) {
  Op op = fresh;
  const Tensor y = op.Run(device, {{0, 6, 0, -1, 0}});
  EXPECT_TRUE(SameBits(y, Tensor(y.size(), 7.0f)));
  EXPECT_TRUE(SameBits(op.slots.slab(), fresh.slots.slab()));
}

}  // namespace ssmd::kernels

#endif  // SSMD_TESTS_UNIT_KERNELS_SEGMENT_OP_H_
