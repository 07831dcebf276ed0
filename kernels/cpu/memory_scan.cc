// Memories on the CPU, and wherever else a state lies in host memory: loops that compilers turn
// into vectors without changing a bit, since no sum is reordered and nothing is fused.
#include <algorithm>

#include "kernels/cpu/float_mode.h"
#include "kernels/memory_ops.h"

namespace ssmd::kernels {
namespace {

// What a channel has between two samples.
struct Channel {
  double c[kMaxMemoryState];  // padding zero
  double squares;
  double lost;
};

void AddSquare(double u, Channel* channel) {
  const double square = u * u;
  const double sum = channel->squares + square;
  channel->lost += channel->squares >= square ? (channel->squares - sum) + square
                                              : (square - sum) + channel->squares;
  channel->squares = sum;
}

double Dot(const double* x, const double* y, int64_t padded) {
  double runs[kMemoryLanes] = {};
  for (int64_t j = 0; j < padded; j += kMemoryLanes) {
    for (int64_t i = 0; i < kMemoryLanes; ++i) runs[i] += x[j + i] * y[j + i];
  }
  for (int64_t half = kMemoryLanes / 2; half > 0; half /= 2) {
    for (int64_t i = 0; i < half; ++i) runs[i] += runs[i + half];
  }
  return runs[0];
}

void StepLegsExact(const MemoryScanParams& params, int64_t k, double u, double* c) {
  const int64_t size = params.state_size;
  const int64_t padded = PaddedMemoryState(size);
  const double inverse = 1.0 / static_cast<double>(k + 1);
  const double squeeze = static_cast<double>(k) * inverse;
  double pull[kMaxMemoryState] = {};  // w_j g_j
  for (int64_t n = 0; n < size; ++n) {
    const double* values = params.values + n * padded;
    for (int64_t j = 0; j < padded; ++j) pull[j] += c[n] * values[j];
  }
  double places[kMaxMemoryState];
  for (int64_t j = 0; j < padded; ++j) {
    pull[j] = params.weights[j] * (pull[j] - u);
    places[j] = 2 * squeeze * params.nodes[j] - 1;
  }
  c[0] -= (c[0] - u) * inverse;  // E of degree 0 is 0
  double rows[3][kMaxMemoryState] = {};
  double* before = rows[0];
  double* now = rows[1];
  double* next = rows[2];
  for (int64_t n = 1; n < size; ++n) {
    const double up = params.up[n - 1];
    const double down = params.down[n - 1];
    const double* shifts = params.shifts + (n - 1) * padded;
    for (int64_t j = 0; j < padded; ++j) {
      next[j] = up * (places[j] * now[j]) + shifts[j] - down * before[j];
    }
    std::swap(before, now);
    std::swap(now, next);
    const double change = squeeze * params.roots[n] * Dot(pull, now, padded) - c[n];
    c[n] += change * inverse;
  }
}

void StepLegsBilinear(const MemoryScanParams& params, int64_t k, double u, double* c) {
  if (k == 0) {
    std::fill_n(c, params.state_size, 0.0);
    c[0] = u;
    return;
  }
  const double half = 0.5 / static_cast<double>(k);
  double sum = 0;  // Σ √(2m+1) (c[m] + c'[m]) over m < n
  for (int64_t n = 0; n < params.state_size; ++n) {
    const double rate = half * static_cast<double>(n + 1);
    const double old = c[n];
    c[n] = ((1 - rate) * old + half * params.roots[n] * (2 * u - sum)) / (1 + rate);
    sum += params.roots[n] * (old + c[n]);
  }
}

void StepDense(const MemoryScanParams& params, double u, double* c) {
  const int64_t padded = PaddedMemoryState(params.state_size);
  double next[kMaxMemoryState];
  for (int64_t n = 0; n < padded; ++n) next[n] = params.b[n] * u;
  for (int64_t m = 0; m < params.state_size; ++m) {
    const double* a = params.a + m * padded;
    for (int64_t n = 0; n < padded; ++n) next[n] += a[n] * c[m];
  }
  std::copy_n(next, padded, c);
}

void StepMemory(const MemoryScanParams& params, int64_t k, double u, Channel* channel) {
  AddSquare(u, channel);
  switch (params.step) {
    case MemoryStep::kLegsExact:
      StepLegsExact(params, k, u, channel->c);
      return;
    case MemoryStep::kLegsBilinear:
      StepLegsBilinear(params, k, u, channel->c);
      return;
    case MemoryStep::kDense:
      StepDense(params, u, channel->c);
      return;
  }
}

void ScanChannel(const MemoryScanParams& params, const Segment& segment, int64_t index) {
  const int64_t size = params.state_size;
  Channel channel = {};
  std::copy_n(params.coefficients.doubles(segment.src_slot) + index * size, size, channel.c);
  const double* energy = params.energy.doubles(segment.src_slot) + index * 2;
  channel.squares = energy[0];
  channel.lost = energy[1];
  const int64_t channels = params.channels;
  const int64_t end = segment.position + segment.length;
  int64_t position = segment.position / channels * channels + index;
  if (position < segment.position) position += channels;
  for (; position < end; position += channels) {
    const int64_t row = segment.first_row + (position - segment.position);
    StepMemory(params, position / channels, SampleOfToken(params.token_ids[row]), &channel);
  }
  std::copy_n(channel.c, size, params.coefficients.doubles(segment.dst_slot) + index * size);
  double* to = params.energy.doubles(segment.dst_slot) + index * 2;
  to[0] = channel.squares;
  to[1] = channel.lost;
}

}  // namespace

void ScanMemories(const MemoryScanParams& params, int64_t first, int64_t end) {
  const cpu::ScopedFloatMode float_mode;
  for (int64_t i = first; i < end; ++i) {
    const Segment& segment = params.segments[i / params.channels];
    if (segment.dst_slot >= 0) ScanChannel(params, segment, i % params.channels);
  }
}

}  // namespace ssmd::kernels
