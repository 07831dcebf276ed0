// Recurrences whose states are kept in 16 bits: the same bits as the scalar code's, for any cut of
// a history, with the rounding of state_format.h, which is right in the mean.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/state_format.h"
#include "tests/unit/kernels/scan_test_util.h"
#include "tests/unit/kernels/ssd_test_util.h"

namespace ssmd::kernels {
namespace {

constexpr StateFormat kNarrow[] = {StateFormat::kBf16, StateFormat::kF16};

Scan NarrowScan(const ScanShape& shape, StateFormat format) {
  Scan scan(shape);
  scan.slots.KeepIn(format);
  return scan;
}
Ssd NarrowSsd(const SsdShape& shape, StateFormat format) {
  Ssd ssd(shape);
  ssd.slots.KeepIn(format);
  return ssd;
}

using NarrowStateTest = KernelTest;

// How many elements of two states differ, and by how many units of a number's last place at most.
struct Difference {
  int64_t elements = 0;
  double units = 0;
};
Difference DifferenceOf(const Tensor& a, const Tensor& b, StateFormat format) {
  const int digits = format == StateFormat::kBf16 ? 7 : 10;
  const int smallest = format == StateFormat::kBf16 ? -126 : -14;
  Difference difference;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i]) continue;
    const float larger = std::max(std::abs(a[i]), std::abs(b[i]));
    const double unit = std::ldexp(1, std::max(std::ilogb(larger), smallest) - digits);
    ++difference.elements;
    difference.units = std::max(difference.units, std::abs(double{a[i]} - b[i]) / unit);
  }
  return difference;
}

// Of one token, from the same state: a draw falls between double's sum and the device's now and
// then.
template <typename Recurrence>
void ExpectLikeReference(Recurrence ours, StateFormat format, Device& device, Device& reference,
                         double bound, double share_that_differs) {
  Recurrence theirs = ours;
  const std::vector<Segment> segments = {{0, 1, 0, 1, 5}, {1, 1, 2, 2, 70000}};
  const Tensor y = ours.Run(device, segments);
  EXPECT_LT(RelativeError(y, theirs.Run(reference, segments)), bound);
  int64_t elements = 0, differ = 0;
  for (const int slot : {1, 2}) {
    const Tensor state = ours.slots.copy(slot);
    const Difference difference = DifferenceOf(state, theirs.slots.copy(slot), format);
    EXPECT_LE(difference.units, 1);
    differ += difference.elements;
    elements += static_cast<int64_t>(state.size());
  }
  EXPECT_LE(static_cast<double>(differ), share_that_differs * static_cast<double>(elements) + 3);
  EXPECT_TRUE(SameBits(ours.slots.copy(0), theirs.slots.copy(0)));
  EXPECT_TRUE(SameBits(ours.slots.copy(3), theirs.slots.copy(3)));
}

TEST_P(NarrowStateTest, ATokenAgreesWithTheReference) {
  const double share = GetParam().bitwise ? 0.004 : 0.03;
  for (const StateFormat format : kNarrow) {
    SCOPED_TRACE(StateFormatName(format));
    for (const int64_t channels : Some<int64_t>({1, 17, 64, 200})) {
      ExpectLikeReference(NarrowScan({channels, 16, 2}, format), format, *device_, *reference_,
                          Bound(2e-6), share);
    }
    for (const int64_t head_dim : Some<int64_t>({3, 16, 64, 80})) {
      ExpectLikeReference(NarrowSsd({4, head_dim, 2, 20, 2}, format), format, *device_, *reference_,
                          Bound(2e-6), share);
    }
  }
}

template <typename Recurrence>
void ExpectLikeScalar(Recurrence ours, Device& device, Device& scalar) {
  Recurrence theirs = ours;
  const std::vector<Segment> segments = {{0, 20, 0, 0, 0}, {20, 1, 1, 2, 9}, {21, 2, -1, -1, 0}};
  EXPECT_TRUE(SameBits(ours.Run(device, segments), theirs.Run(scalar, segments)));
  EXPECT_TRUE(SameBits(ours.slots.slab(), theirs.slots.slab()));
}

TEST_P(NarrowStateTest, GivesTheBitsOfScalarCode) {
  if (!GetParam().bitwise) GTEST_SKIP() << "this device has bits of its own";
  for (const StateFormat format : kNarrow) {
    SCOPED_TRACE(StateFormatName(format));
    for (const int64_t channels : Some<int64_t>({1, 15, 63, 65, 200})) {
      for (const int64_t state_size : {1, 16, 17}) {
        ExpectLikeScalar(NarrowScan({channels, state_size, 23}, format), *device_, *scalar_);
      }
    }
    for (const int64_t head_dim : Some<int64_t>({1, 16, 24, 64, 80})) {
      const Ssd ssd = NarrowSsd({4, head_dim, 2, 17, 23}, format);
      ExpectLikeScalar(ssd, *device_, *scalar_);
      ExpectLikeScalar(ssd.Chunked(), *device_, *scalar_);
    }
  }
}

template <typename Recurrence>
void ExpectCutsDoNotShow(const Recurrence& fresh, Device& device, int32_t tokens,
                         const std::vector<int32_t>& chunks) {
  Recurrence whole = fresh;
  const Tensor expected = whole.Run(device, {{0, tokens, 0, 3, 11}});
  for (const int32_t chunk : chunks) {
    Recurrence cut = fresh;
    Tensor y(expected.size(), 7.0f);
    for (int32_t first = 0; first < tokens; first += chunk) {
      const int32_t length = std::min(chunk, tokens - first);
      cut.RunInto(device, {{first, length, first == 0 ? 0 : 3, 3, 11 + first}}, y);
    }
    EXPECT_TRUE(SameBits(y, expected)) << "chunk " << chunk;
    EXPECT_TRUE(SameBits(cut.slots.slab(), whole.slots.slab())) << "chunk " << chunk;
  }
}

TEST_P(NarrowStateTest, CutsOfASegmentDoNotShow) {
  const auto chunks = Some<int32_t>({1, 2, 3, 7, 28});
  for (const StateFormat format : kNarrow) {
    SCOPED_TRACE(StateFormatName(format));
    ExpectCutsDoNotShow(NarrowScan({130, 16, 29}, format), *device_, 29, chunks);
    ExpectCutsDoNotShow(NarrowSsd({3, 40, 1, 18, 29}, format), *device_, 29, chunks);
  }
}

TEST_P(NarrowStateTest, CutsAtChunksDoNotShow) {
  for (const StateFormat format : kNarrow) {
    Ssd whole = NarrowSsd({2, 64, 1, 32, 100}, format).Chunked();
    Ssd cut = whole;
    const Tensor expected = whole.Run(*device_, {{0, 100, 0, 0, 0}});
    Tensor y(expected.size(), 7.0f);
    cut.RunInto(*device_, {{0, 64, 0, 0, 0}}, y);
    cut.RunInto(*device_, {{64, 36, 0, 0, 64}}, y);
    EXPECT_TRUE(SameBits(y, expected));
    EXPECT_TRUE(SameBits(cut.slots.slab(), whole.slots.slab()));
  }
}

// A chunk's state is rounded once, a step's each time: they are apart by what rounding does.
TEST_P(NarrowStateTest, ChunksAreNearSteps) {
  for (const StateFormat format : kNarrow) {
    Ssd steps = NarrowSsd({2, 64, 1, 32, 96}, format);
    Ssd chunks = steps.Chunked();
    const Tensor expected = steps.Run(*device_, {{0, 96, 0, 0, 0}});
    EXPECT_LT(RelativeError(chunks.Run(*device_, {{0, 96, 0, 0, 0}}), expected),
              format == StateFormat::kBf16 ? 0.03 : 0.004);
  }
}

TEST_P(NarrowStateTest, RoundingDependsOnPositionAndLayer) {
  for (const StateFormat format : kNarrow) {
    const Ssd fresh = NarrowSsd({2, 64, 1, 32, 1}, format);
    const auto run = [&](int64_t position, uint32_t layer) {
      Ssd ssd = fresh;
      Tensor y(static_cast<size_t>(ssd.y_stride()));
      const std::vector<Segment> segments = {{0, 1, 0, 0, position}};
      SsdScanParams params = ssd.Params(segments);
      params.state = ssd.slots.field(layer);
      params.y = y.data();
      params.y_stride = ssd.y_stride();
      device_->SsdScan(params);
      return ssd.slots.copy(0);
    };
    const Tensor state = run(4, 0);
    EXPECT_TRUE(SameBits(run(4, 0), state));
    // Other draws: of those elements that rounding moves at all, many differ.
    EXPECT_GT(DifferenceOf(run(5, 0), state, format).elements, 1000);
    EXPECT_GT(DifferenceOf(run(4, 1), state, format).elements, 1000);
  }
}

// The classic case: at a decay of 0.999 an input of 0.01 adds up to 10. Rounded to nearest, a state
// in bf16 stands still long before.
TEST_P(NarrowStateTest, ASlowDecaySettlesWhereItShould) {
  float nearest = 0;
  for (int t = 0; t < 8192; ++t) nearest = WidenBf16(RoundToBf16(0.999f * nearest + 0.01f));
  EXPECT_LT(nearest, 5);

  const int32_t tokens = Few(8192, 1500);
  for (const StateFormat format : kNarrow) {
    Ssd ssd = NarrowSsd({1, 64, 1, 16, tokens}, format);
    Fill(ssd.x, 0.01f);
    Fill(ssd.b, 1.0f);
    Fill(ssd.a, std::log(0.999f));
    ssd.dt.clear();  // the step is 1
    ssd.slots = Slots(4, ssd.shape.state_elements(), 8, 0, 0);
    ssd.slots.KeepIn(format);
    ssd.Run(*device_, {{0, tokens, 0, 0, 0}});
    const Tensor state = ssd.slots.copy(0);
    double sum = 0;
    for (const float element : state) sum += element;
    const double settled = 10 * (1 - std::pow(0.999, tokens));
    EXPECT_NEAR(sum / static_cast<double>(state.size()), settled, 0.02) << StateFormatName(format);
  }
}

TEST_P(NarrowStateTest, ANanStaysInItsSegmentAndPaddingStaysZero) {
  for (const StateFormat format : kNarrow) {
    Scan scan = NarrowScan({40, 16, 4}, format);
    const Tensor neighbour = [&] {
      Scan alone = scan;
      alone.Run(*device_, {{2, 2, 1, 1, 0}});
      return alone.slots.copy(1);
    }();
    scan.x[3] = NAN;
    scan.Run(*device_, {{0, 2, 0, 0, 0}, {2, 2, 1, 1, 0}});
    EXPECT_TRUE(SameBits(scan.slots.copy(1), neighbour));
    const Tensor state = scan.slots.copy(0);
    for (int64_t n = 0; n < 16; ++n) {
      EXPECT_TRUE(std::isnan(state[static_cast<size_t>(n * 64 + 3)]));
      for (int64_t c = 40; c < 64; ++c) EXPECT_EQ(state[static_cast<size_t>(n * 64 + c)], 0);
    }
  }
}

INSTANTIATE_KERNEL_TEST(NarrowStateTest);

}  // namespace
}  // namespace ssmd::kernels
