// A difference equation per channel, in double: close to the reference, the same bits for any cut
// of a history, and the rational function that its coefficients are of.
#include <gtest/gtest.h>

#include <complex>

#include "tests/unit/kernels/linear_scan_test_util.h"

namespace ssmd::kernels {
namespace {

using DifferenceScanTest = LinearScanTest;
using Complex = std::complex<double>;

struct DifferenceShape {
  int64_t channels, delays;
};

struct Difference {
  Difference(const DifferenceShape& s, int64_t rows_of_all)
      : shape(s),
        width(s.channels),
        rows(rows_of_all),
        u(RandomTensor(rows * width, 1)),
        numerator(Blocks(2, 1)),
        denominator(Blocks(3, 0.9f / static_cast<float>(s.delays))),  // Σ |a| < 1: stable
        slots(kScanSlots, elements(), 4) {
    const Tensor single = RandomTensor(s.channels, 5);
    d.assign(single.begin(), single.end());
    ClearPadding(*this, elements());
    slots.KeepIn(StateFormat::kF64);
  }

  DoubleTensor Blocks(uint32_t seed, float scale) const {
    const Tensor single = RandomBlocks(shape.delays, shape.channels, seed, -scale, scale);
    return DoubleTensor(single.begin(), single.end());
  }
  int64_t elements() const { return 2 * shape.delays * PaddedChannels(shape.channels); }
  bool IsPadding(int64_t i) const {
    return i / (2 * shape.delays * kChannelBlock) * kChannelBlock + i % kChannelBlock >=
           shape.channels;
  }
  void Forget() {
    for (int slot = 0; slot < kScanSlots; ++slot) {
      std::fill_n(slots.field().doubles(slot), elements(), 0.0);
    }
  }

  void Call(Device& device, const std::vector<Segment>& segments, const float* in,
            int64_t in_stride, float* y, int64_t y_stride) {
    auto params = ParamsOf<DifferenceScanParams>(segments, in, in_stride, y, y_stride);
    params.channels = shape.channels;
    params.delays = shape.delays;
    params.numerator = numerator.data();
    params.denominator = denominator.data();
    params.d = d.data();
    params.state = slots.field();
    device.DifferenceScan(params);
  }

  DifferenceShape shape;
  int64_t width, rows;
  Tensor u;
  DoubleTensor numerator, denominator, d;
  Slots slots;
};

TEST_P(DifferenceScanTest, AgreesWithTheReferenceAndBitwiseWithScalar) {
  const std::vector<DifferenceShape> shapes = {{1, 1},  {65, 4},  {5, 2},  {16, 5},
                                               {70, 6}, {130, 7}, {8, 12}, {63, 13},
                                               {9, 64}, {3, 255}, {2, 256}};
  for (const DifferenceShape& shape : Some(shapes)) {
    SCOPED_TRACE(testing::Message()
                 << shape.channels << " channels, " << shape.delays << " delays");
    // Both round to single at the end alone.
    ExpectAgreement(Difference(shape, 23), 1.2e-7);
  }
}

TEST_P(DifferenceScanTest, KeepsItsPromises) {
  ExpectPromises<Difference>(DifferenceShape{70, 5});
  ExpectPromises<Difference>(DifferenceShape{9, 20});
}

// More tokens than are kept in order at once.
TEST_P(DifferenceScanTest, LongPromptsGiveTheBitsOfSingleTokens) {
  const int64_t tokens = Few<int64_t>(310, 30);
  Difference whole({9, 40}, tokens);
  Difference cut = whole;
  const Tensor expected = Scanned(whole, *device_, {{0, static_cast<int32_t>(tokens), 0, 0, 7}});
  Tensor y(expected.size(), 7.0f);
  for (int32_t t = 0; t < tokens; ++t) ScanInto(cut, *device_, {{t, 1, 0, 0, 7 + t}}, y);
  EXPECT_TRUE(SameBits(y, expected));
  EXPECT_EQ(cut.slots.bytes(0), whole.slots.bytes(0));
}

// b(z) / a(z) = Σ_j r_j z / (1 − p_j z): the answer to an impulse is Σ_j r_j p_j^(t−1), however its
// coefficients came to be.
TEST_P(DifferenceScanTest, TheImpulseResponseIsThePowerSeries) {
  constexpr int64_t kDelays = 6;
  const std::vector<Complex> poles = {{0.9, 0.2},   {0.9, -0.2}, {-0.5, 0.6},
                                      {-0.5, -0.6}, {0.98, 0},   {0.3, 0}};
  const std::vector<Complex> residues = {{0.4, 0.3},   {0.4, -0.3}, {-0.2, 0.7},
                                         {-0.2, -0.7}, {0.5, 0},    {-1, 0}};
  // Coefficients of a product of (1 − p z), without the pole `but`.
  const auto product = [&](size_t but) {
    std::vector<Complex> of(kDelays + 1, 0.0);
    of[0] = 1;
    for (size_t j = 0; j < poles.size(); ++j) {
      if (j == but) continue;
      for (size_t i = kDelays; i > 0; --i) of[i] -= poles[j] * of[i - 1];
    }
    return of;
  };
  const int64_t tokens = Few<int64_t>(200, 20);
  Difference scan({3, kDelays}, tokens);
  scan.Forget();
  Fill(scan.u, 0);
  for (int64_t c = 0; c < 3; ++c) {
    scan.u[c] = 1;
    scan.d[c] = 0.25;
    for (int64_t i = 1; i <= kDelays; ++i) {
      scan.denominator[InBlocks(kDelays, i - 1, c)] = product(poles.size())[i].real();
      Complex b = 0;
      for (size_t j = 0; j < poles.size(); ++j) b += residues[j] * product(j)[i - 1];
      scan.numerator[InBlocks(kDelays, i - 1, c)] = b.real();
    }
  }
  const Tensor y = Scanned(scan, *device_, {{0, static_cast<int32_t>(tokens), 0, 0, 0}});
  for (int64_t t = 0; t < tokens; ++t) {
    Complex expected = t == 0 ? 0.25 : 0;
    for (size_t j = 0; j < poles.size() && t > 0; ++j) {
      expected += residues[j] * std::pow(poles[j], static_cast<double>(t - 1));
    }
    EXPECT_NEAR(y[t * OutputStride(scan)], expected.real(), 1e-6) << t;
  }
}

// Four equal poles at 0.99, some of which coefficients in single precision would put outside of the
// unit circle.
TEST_P(DifferenceScanTest, ClosePolesDecayInDouble) {
  constexpr int64_t kDelays = 4;
  const int64_t tokens = Few<int64_t>(4000, 60);
  Difference scan({1, kDelays}, tokens);
  Difference reference = scan;
  for (Difference* of : {&scan, &reference}) {
    double binomial = 1;
    for (int64_t i = 1; i <= kDelays; ++i) {
      binomial *= -static_cast<double>(kDelays - i + 1) / static_cast<double>(i);
      of->denominator[(i - 1) * kChannelBlock] = binomial * std::pow(0.99, static_cast<double>(i));
    }
  }
  const std::vector<Segment> segments = {{0, static_cast<int32_t>(tokens), 0, 0, 0}};
  const Tensor y = Scanned(scan, *device_, segments);
  ExpectFinite(y);
  EXPECT_LT(RelativeError(y, Scanned(reference, *reference_, segments)), 1e-6);
}

TEST_P(DifferenceScanTest, StaysFiniteAtTheEndsOfTheRange) {
  Difference scan({20, 8}, 40);
  Fill(scan.u, 1e30f);
  ExpectFinite(Scanned(scan, *device_, {{0, 40, 0, 0, int64_t{1} << 40}}));
  ExpectFinite(scan.slots.copy(0));
}

INSTANTIATE_KERNEL_TEST(DifferenceScanTest);

}  // namespace
}  // namespace ssmd::kernels
