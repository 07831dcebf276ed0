// Complex modes of a channel, apart and coupled: close to the double-precision reference, the same
// bits for any cut of a history, and the linear system that the definition says.
#include <gtest/gtest.h>

#include <complex>

#include "tests/unit/kernels/linear_scan_test_util.h"

namespace ssmd::kernels {
namespace {

using ModalScanTest = LinearScanTest;
using Complex = std::complex<double>;

struct ModalShape {
  int64_t channels, modes, rank;
};

struct Modal {
  Modal(const ModalShape& s, int64_t rows_of_all)
      : shape(s),
        width(s.channels),
        rows(rows_of_all),
        u(RandomTensor(rows * width, 1)),
        decay(RandomBlocks(2 * s.modes, s.channels, 2)),
        output(RandomBlocks(2 * s.modes, s.channels, 3)),
        coupling_in(RandomBlocks(2 * s.rank * s.modes, s.channels, 4, -0.1f, 0.1f)),
        coupling_out(RandomBlocks(2 * s.rank * s.modes, s.channels, 5, -0.1f, 0.1f)),
        d(RandomTensor(s.channels, 6)),
        slots(kScanSlots, elements(), 7) {
    // Magnitudes from 0.5 to 0.999, at any angle.
    const Tensor magnitude = RandomTensor(s.modes * s.channels, 8, 0.5f, 0.999f);
    const Tensor angle = RandomTensor(s.modes * s.channels, 9, -3, 3);
    for (int64_t n = 0; n < s.modes; ++n) {
      for (int64_t c = 0; c < s.channels; ++c) {
        const int64_t i = n * s.channels + c;
        SetMode(decay, n, c, std::polar(double{magnitude[i]}, double{angle[i]}));
      }
    }
    ClearPadding(*this, elements());
  }

  int64_t elements() const { return 2 * shape.modes * PaddedChannels(shape.channels); }
  bool IsPadding(int64_t i) const {
    return i / (2 * shape.modes * kChannelBlock) * kChannelBlock + i % kChannelBlock >=
           shape.channels;
  }
  // The mode n of channel c in an array of such; of a coupling, n counts rank · modes.
  Complex Mode(const Tensor& of, int64_t n, int64_t c, int64_t rank = 1) const {
    const int64_t rows_of_a_block = 2 * rank * shape.modes;
    return {of[InBlocks(rows_of_a_block, 2 * n, c)], of[InBlocks(rows_of_a_block, 2 * n + 1, c)]};
  }
  void SetMode(Tensor& of, int64_t n, int64_t c, Complex value) const {
    of[InBlocks(2 * shape.modes, 2 * n, c)] = static_cast<float>(value.real());
    of[InBlocks(2 * shape.modes, 2 * n + 1, c)] = static_cast<float>(value.imag());
  }

  void Call(Device& device, const std::vector<Segment>& segments, const float* in,
            int64_t in_stride, float* y, int64_t y_stride) {
    auto params = ParamsOf<ModalScanParams>(segments, in, in_stride, y, y_stride);
    params.channels = shape.channels;
    params.modes = shape.modes;
    params.rank = shape.rank;
    params.decay = decay.data();
    params.output = output.data();
    params.coupling_in = shape.rank > 0 ? coupling_in.data() : nullptr;
    params.coupling_out = shape.rank > 0 ? coupling_out.data() : nullptr;
    params.d = d.data();
    params.state = slots.field();
    device.ModalScan(params);
  }

  ModalShape shape;
  int64_t width, rows;
  Tensor u, decay, output, coupling_in, coupling_out, d;
  Slots slots;
};

TEST_P(ModalScanTest, AgreesWithTheReferenceAndBitwiseWithScalar) {
  const std::vector<ModalShape> shapes = {{1, 1, 0},    {65, 32, 1}, {5, 3, 0},  {16, 5, 2},
                                          {130, 17, 3}, {64, 7, 4},  {7, 32, 0}, {20, 64, 1},
                                          {3, 256, 0},  {33, 4, 0},  {2, 256, 4}};
  for (const ModalShape& shape : Some(shapes)) {
    SCOPED_TRACE(testing::Message() << shape.channels << " channels of " << shape.modes
                                    << " modes, rank " << shape.rank);
    ExpectAgreement(Modal(shape, 23), 5e-6);
  }
}

TEST_P(ModalScanTest, KeepsItsPromisesApart) { ExpectPromises<Modal>(ModalShape{70, 9, 0}); }
TEST_P(ModalScanTest, KeepsItsPromisesCoupled) { ExpectPromises<Modal>(ModalShape{70, 9, 1}); }

// h = λ^L h₀ + Σ λ^(L−1−j) u_j, and what is read of it.
TEST_P(ModalScanTest, IsTheUnrolledRecurrence) {
  constexpr int32_t kTokens = 30;
  Modal modal({3, 8, 0}, kTokens);
  const Modal fresh = modal;
  const Tensor state = modal.slots.copy(0);
  const Tensor y = Scanned(modal, *device_, {{0, kTokens, 0, 0, 0}});
  Tensor expected(3), last(3);
  for (int64_t c = 0; c < 3; ++c) {
    double sum = double{fresh.d[c]} * fresh.u[(kTokens - 1) * 3 + c];
    for (int64_t n = 0; n < 8; ++n) {
      const Complex decay = fresh.Mode(fresh.decay, n, c);
      Complex h = std::pow(decay, kTokens) * fresh.Mode(state, n, c);
      for (int32_t j = 0; j < kTokens; ++j) {
        h += std::pow(decay, kTokens - 1 - j) * double{fresh.u[j * 3 + c]};
      }
      sum += (fresh.Mode(fresh.output, n, c) * h).real();
    }
    expected[c] = static_cast<float>(sum);
    last[c] = y[(kTokens - 1) * OutputStride(modal) + c];
  }
  EXPECT_LT(RelativeError(last, expected), Bound(5e-6));
}

// The matrix of the real system (real and imaginary part of each mode), with the coupling in it.
std::vector<std::vector<double>> MatrixOf(const Modal& modal, int64_t c) {
  const int64_t modes = modal.shape.modes;
  std::vector<std::vector<double>> a(2 * modes, std::vector<double>(2 * modes, 0.0));
  for (int64_t n = 0; n < modes; ++n) {
    const Complex decay = modal.Mode(modal.decay, n, c);
    a[2 * n][2 * n] = a[2 * n + 1][2 * n + 1] = decay.real();
    a[2 * n][2 * n + 1] = -decay.imag();
    a[2 * n + 1][2 * n] = decay.imag();
    for (int64_t r = 0; r < modal.shape.rank; ++r) {
      const Complex out = modal.Mode(modal.coupling_out, r * modes + n, c, modal.shape.rank);
      for (int64_t m = 0; m < modes; ++m) {
        const Complex in = modal.Mode(modal.coupling_in, r * modes + m, c, modal.shape.rank);
        a[2 * n][2 * m] -= out.real() * in.real();
        a[2 * n][2 * m + 1] += out.real() * in.imag();
        a[2 * n + 1][2 * m] -= out.imag() * in.real();
        a[2 * n + 1][2 * m + 1] += out.imag() * in.imag();
      }
    }
  }
  return a;
}

TEST_P(ModalScanTest, CoupledIsADenseMatrixStep) {
  constexpr int64_t kChannels = 66, kModes = 6, kTokens = 5;
  for (int64_t rank : {1, 3}) {
    Modal modal({kChannels, kModes, rank}, kTokens);
    const Tensor state = modal.slots.copy(0);
    Tensor expected = state;
    for (int64_t c = 0; c < kChannels; ++c) {
      const auto a = MatrixOf(modal, c);
      std::vector<double> h(2 * kModes);
      for (int64_t i = 0; i < 2 * kModes; ++i) h[i] = state[InBlocks(2 * kModes, i, c)];
      for (int64_t t = 0; t < kTokens; ++t) {
        std::vector<double> next(h.size(), 0.0);
        for (size_t i = 0; i < h.size(); ++i) {
          next[i] = i % 2 == 0 ? modal.u[t * kChannels + c] : 0;
          for (size_t j = 0; j < h.size(); ++j) next[i] += a[i][j] * h[j];
        }
        h = next;
      }
      for (int64_t i = 0; i < 2 * kModes; ++i) {
        expected[InBlocks(2 * kModes, i, c)] = static_cast<float>(h[i]);
      }
    }
    Scanned(modal, *device_, {{0, kTokens, 0, 0, 0}});
    EXPECT_LT(RelativeError(modal.slots.copy(0), expected), Bound(2e-6)) << rank;
  }
}

TEST_P(ModalScanTest, StaysFiniteAtTheEndsOfTheRange) {
  Modal modal({20, 8, 1}, 40);
  Fill(modal.u, 1e30f);
  for (int64_t c = 0; c < 20; ++c) modal.SetMode(modal.decay, 0, c, 1);      // sums up
  for (int64_t c = 0; c < 20; ++c) modal.SetMode(modal.decay, 1, c, 1e-30);  // forgets
  Modal tiny = modal;
  Fill(tiny.u, 1e-38f);
  for (Modal* scan : {&modal, &tiny}) {
    ExpectFinite(Scanned(*scan, *device_, {{0, 40, 0, 0, 0}}));
    ExpectFinite(scan->slots.copy(0));
  }
}

TEST_P(ModalScanTest, DoesNotDriftOverManyTokens) {
  const int64_t tokens = Few<int64_t>(8192, 300);
  Modal modal({2, 4, 0}, tokens);
  for (int64_t n = 0; n < 4; ++n) {
    for (int64_t c = 0; c < 2; ++c) {
      modal.SetMode(
          modal.decay, n, c,
          std::polar(1 - 0.001 / static_cast<double>(n + 1), 0.3 * static_cast<double>(n)));
    }
  }
  Modal reference = modal;
  const std::vector<Segment> segments = {{0, static_cast<int32_t>(tokens), 0, 0, 0}};
  EXPECT_LT(
      RelativeError(Scanned(modal, *device_, segments), Scanned(reference, *reference_, segments)),
      Bound(1e-5));
  EXPECT_LT(RelativeError(modal.slots.copy(0), reference.slots.copy(0)), Bound(1e-5));
}

INSTANTIATE_KERNEL_TEST(ModalScanTest);

}  // namespace
}  // namespace ssmd::kernels
