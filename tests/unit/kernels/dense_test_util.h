// Random cases of DenseScan.
#ifndef SSMD_TESTS_UNIT_KERNELS_DENSE_TEST_UTIL_H_
#define SSMD_TESTS_UNIT_KERNELS_DENSE_TEST_UTIL_H_

#include <numeric>
#include <vector>

#include "tests/unit/kernels/linear_scan_test_util.h"

namespace ssmd::kernels {

struct DenseShape {
  int64_t channels, state_size;
};

struct Dense {
  Dense(const DenseShape& s, int64_t rows_of_all)
      : shape(s),
        width(s.channels),
        rows(rows_of_all),
        u(RandomTensor(rows * width, 1)),
        a(RandomTensor(s.state_size * s.state_size, 2, -scale(), scale())),
        b(RandomTensor(s.state_size, 3)),
        output(RandomRows(s.state_size, s.channels, 4)),
        d(RandomTensor(s.channels, 5)),
        slots(kScanSlots, elements(), 6) {
    ClearPadding(*this, elements());
  }

  // So that its matrix has a spectral radius below 1.
  float scale() const { return 1.5f / std::sqrt(static_cast<float>(shape.state_size)); }
  int64_t elements() const { return shape.state_size * PaddedLanes(shape.channels); }
  bool IsPadding(int64_t i) const { return i % PaddedLanes(shape.channels) >= shape.channels; }

  void Call(Device& device, const std::vector<Segment>& segments, const float* in,
            int64_t in_stride, float* y, int64_t y_stride) {
    auto params = ParamsOf<DenseScanParams>(segments, in, in_stride, y, y_stride);
    params.channels = shape.channels;
    params.state_size = shape.state_size;
    params.a = a.data();
    params.b = b.data();
    params.output = output.data();
    params.d = d.data();
    params.state = slots.field();
    if (!chunk_step.empty()) {
      params.chunk_step = chunk_step.data();
      params.chunk_readout = chunk_readout.data();
      params.chunk_taps = chunk_taps.data();
    }
    device.DenseScan(params);
  }

  // The same in chunks, by operators in double.
  Dense Chunked() const;

  DenseShape shape;
  int64_t width, rows;
  Tensor u, a, b, output, d;
  Slots slots;
  Tensor chunk_step, chunk_readout, chunk_taps;  // empty: step by step
};

using Doubles = std::vector<double>;

// The vector times the matrix from the left, or from the right.
inline Doubles Times(const Doubles& vector, const Tensor& matrix, bool from_left) {
  const size_t size = vector.size();
  Doubles product(size);
  for (size_t n = 0; n < size; ++n) {
    for (size_t m = 0; m < size; ++m) {
      product[from_left ? m : n] += double{matrix[n * size + m]} * vector[from_left ? n : m];
    }
  }
  return product;
}

// Where channel c has row `row` in lane blocks of so many rows.
inline int64_t InLanes(int64_t rows, int64_t row, int64_t c) {
  return (c / kVectorLanes * rows + row) * kVectorLanes + c % kVectorLanes;
}

inline Dense Dense::Chunked() const {
  constexpr int64_t kT = kDenseChunkTokens;
  const int64_t size = shape.state_size;
  const int64_t lanes = PaddedLanes(shape.channels);
  Dense chunked = *this;
  chunked.chunk_step.resize(static_cast<size_t>(size * (size + kT)));
  chunked.chunk_readout.assign(static_cast<size_t>(lanes * kT * size), 0.0f);
  chunked.chunk_taps.assign(static_cast<size_t>(lanes * kT), 0.0f);
  for (int64_t column = 0; column < size + kT; ++column) {
    Doubles state(b.begin(), b.end());  // after as many steps as are left
    if (column < size) {
      state.assign(b.size(), 0);
      state[column] = 1;
    }
    const int64_t steps = column < size ? kT : size + kT - 1 - column;
    for (int64_t i = 0; i < steps; ++i) state = Times(state, a, false);
    for (int64_t n = 0; n < size; ++n) {
      chunked.chunk_step[n * (size + kT) + column] = static_cast<float>(state[n]);
    }
  }
  for (int64_t c = 0; c < shape.channels; ++c) {
    Doubles read;
    for (int64_t n = 0; n < size; ++n) read.push_back(output[n * lanes + c]);
    for (int64_t t = 0; t < kT; ++t) {
      const double tap = std::inner_product(read.begin(), read.end(), b.begin(), 0.0);
      chunked.chunk_taps[InLanes(kT, t, c)] = static_cast<float>(tap);
      read = Times(read, a, true);
      for (int64_t n = 0; n < size; ++n) {
        chunked.chunk_readout[InLanes(kT * size, t * size + n, c)] = static_cast<float>(read[n]);
      }
    }
  }
  return chunked;
}

}  // namespace ssmd::kernels

#endif  // SSMD_TESTS_UNIT_KERNELS_DENSE_TEST_UTIL_H_
