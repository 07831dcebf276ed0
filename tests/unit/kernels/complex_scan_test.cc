// Complex modes that all channels share: close to the double-precision reference, the same bits for
// any cut of a history, and powers of the decays.
#include <gtest/gtest.h>

#include <complex>

#include "tests/unit/kernels/linear_scan_test_util.h"

namespace ssmd::kernels {
namespace {

using ComplexScanTest = LinearScanTest;

struct SharedModes {
  SharedModes(int64_t mode_count, int64_t rows_of_all)
      : modes(mode_count),
        width(2 * mode_count),
        rows(rows_of_all),
        u(RandomTensor(rows * width, 1)),
        decay(RandomTensor(width, 2)),
        slots(kScanSlots, width, 3) {
    const Tensor magnitude = RandomTensor(modes, 4, 0.5f, 0.999f);
    const Tensor angle = RandomTensor(modes, 5, -3, 3);
    for (int64_t n = 0; n < modes; ++n) {
      decay[n] = magnitude[n] * std::cos(angle[n]);
      decay[modes + n] = magnitude[n] * std::sin(angle[n]);
    }
  }

  static bool IsPadding(int64_t /*i*/) { return false; }

  // The op works in place: on a copy of what its rows are to be.
  void Call(Device& device, const std::vector<Segment>& segments, const float* in,
            int64_t in_stride, float* y, int64_t y_stride) {
    for (const Segment& segment : segments) {
      if (segment.dst_slot < 0 || y == in) continue;
      for (int64_t row = segment.first_row; row < segment.first_row + segment.length; ++row) {
        std::copy(in + row * in_stride, in + row * in_stride + width, y + row * y_stride);
      }
    }
    ComplexScanParams params;
    params.segments = segments.data();
    params.segment_count = static_cast<int64_t>(segments.size());
    params.modes = modes;
    params.decay = decay.data();
    params.state = slots.field();
    params.x = y;
    params.x_stride = y_stride;
    device.ComplexScan(params);
  }

  int64_t modes, width, rows;
  Tensor u, decay;
  Slots slots;
};

TEST_P(ComplexScanTest, AgreesWithTheReferenceAndBitwiseWithScalar) {
  for (int64_t modes : Some<int64_t>({1, 15, 64, 16, 33, 100, 130, 384})) {
    SCOPED_TRACE(modes);
    ExpectAgreement(SharedModes(modes, 23), 2e-6);
  }
}

TEST_P(ComplexScanTest, KeepsItsPromises) { ExpectPromises<SharedModes>(int64_t{75}); }

TEST_P(ComplexScanTest, AnImpulseGivesPowersOfTheDecay) {
  constexpr int64_t kModes = 20, kTokens = 24;
  SharedModes scan(kModes, kTokens);
  Fill(scan.u, 0);
  std::fill(scan.u.begin(), scan.u.begin() + kModes, 1.0f);  // the real parts of the first row
  std::fill(scan.slots.at(0), scan.slots.at(0) + 2 * kModes, 0.0f);
  const Tensor x = Scanned(scan, *device_, {{0, kTokens, 0, 0, 0}});
  for (int64_t n = 0; n < kModes; ++n) {
    const std::complex<double> decay(scan.decay[n], scan.decay[kModes + n]);
    for (int64_t t = 0; t < kTokens; ++t) {
      const std::complex<double> power = std::pow(decay, static_cast<double>(t));
      const float* row = x.data() + t * OutputStride(scan);
      EXPECT_NEAR(row[n], power.real(), Bound(2e-6)) << n << " " << t;
      EXPECT_NEAR(row[kModes + n], power.imag(), Bound(2e-6)) << n << " " << t;
    }
  }
}

TEST_P(ComplexScanTest, StaysFiniteAtTheEndsOfTheRange) {
  SharedModes scan(40, 50);
  Fill(scan.u, 1e30f);
  Fill(scan.decay, 0);
  std::fill(scan.decay.begin(), scan.decay.begin() + 20, 1.0f);
  ExpectFinite(Scanned(scan, *device_, {{0, 50, 0, 0, 0}}));
  ExpectFinite(scan.slots.copy(0));
}

TEST_P(ComplexScanTest, ANanStaysInItsMode) {
  SharedModes scan(40, 5);
  SharedModes clean = scan;
  scan.u[7] = NAN;
  const Tensor x = Scanned(scan, *device_, {{0, 5, 0, 0, 0}});
  const Tensor expected = Scanned(clean, *device_, {{0, 5, 0, 0, 0}});
  for (size_t i = 0; i < x.size(); ++i) {
    const auto column = static_cast<int64_t>(i) % OutputStride(scan);
    if (column == 7 || column == 47) continue;
    EXPECT_EQ(Bits(x[i]), Bits(expected[i])) << i;
  }
  EXPECT_TRUE(std::isnan(x[7]));
}

INSTANTIATE_KERNEL_TEST(ComplexScanTest);

}  // namespace
}  // namespace ssmd::kernels
