// Memories by the plain formulas: LegS as the projection of the squeezed function, not of changes.
#include <cmath>
#include <vector>

#include "kernels/reference/ops.h"

namespace ssmd::kernels::reference {
namespace {

using Coefficients = std::vector<double>;

// √(2n+1) P_n(2x − 1) for n < size.
Coefficients LegendreAt(double x, int64_t size) {
  Coefficients p(static_cast<size_t>(size));
  double before = 0;
  double now = 1;
  for (int64_t n = 0; n < size; ++n) {
    const auto degree = static_cast<double>(n);
    p[n] = std::sqrt(2 * degree + 1) * now;
    const double next = ((2 * degree + 1) * (2 * x - 1) * now - degree * before) / (degree + 1);
    before = now;
    now = next;
  }
  return p;
}

Coefficients StepLegsExact(const MemoryScanParams& params, int64_t k, double u,
                           const Coefficients& c) {
  const int64_t size = params.state_size;
  const double squeeze = static_cast<double>(k) / static_cast<double>(k + 1);
  Coefficients next(c.size(), 0.0);
  next[0] = u;
  for (int64_t j = 0; j < size; ++j) {
    const Coefficients here = LegendreAt(params.nodes[j], size);
    const Coefficients there = LegendreAt(squeeze * params.nodes[j], size);
    double above_u = -u;
    for (int64_t n = 0; n < size; ++n) above_u += here[n] * c[n];
    for (int64_t n = 0; n < size; ++n) next[n] += squeeze * params.weights[j] * above_u * there[n];
  }
  return next;
}

// (I − A/2k) c' = (I + A/2k) c + (B/k) u, row by row: A is lower triangular.
Coefficients StepLegsBilinear(int64_t k, double u, const Coefficients& c) {
  const auto size = static_cast<int64_t>(c.size());
  Coefficients next(c.size(), 0.0);
  if (k == 0) {
    next[0] = u;
    return next;
  }
  const auto a = [](int64_t n, int64_t m) {
    if (m > n) return 0.0;
    if (m == n) return -static_cast<double>(n + 1);
    return -std::sqrt(static_cast<double>((2 * n + 1) * (2 * m + 1)));
  };
  const double half = 0.5 / static_cast<double>(k);
  for (int64_t n = 0; n < size; ++n) {
    double right = c[n] + std::sqrt(static_cast<double>(2 * n + 1)) * 2 * half * u;
    for (int64_t m = 0; m <= n; ++m) right += half * a(n, m) * c[m];
    for (int64_t m = 0; m < n; ++m) right += half * a(n, m) * next[m];
    next[n] = right / (1 - half * a(n, n));
  }
  return next;
}

Coefficients StepDense(const MemoryScanParams& params, double u, const Coefficients& c) {
  const int64_t size = params.state_size;
  Coefficients next(c.size());
  for (int64_t n = 0; n < size; ++n) {
    next[n] = params.b[n] * u;
    for (int64_t m = 0; m < size; ++m) next[n] += params.a[m * PaddedMemoryState(size) + n] * c[m];
  }
  return next;
}

Coefficients Step(const MemoryScanParams& params, int64_t k, double u, const Coefficients& c) {
  switch (params.step) {
    case MemoryStep::kLegsExact:
      return StepLegsExact(params, k, u, c);
    case MemoryStep::kLegsBilinear:
      return StepLegsBilinear(k, u, c);
    case MemoryStep::kDense:
      break;
  }
  return StepDense(params, u, c);
}

void ScanChannel(const MemoryScanParams& params, const Segment& segment, int64_t channel) {
  const int64_t size = params.state_size;
  const double* from = params.coefficients.doubles(segment.src_slot) + channel * size;
  Coefficients c(from, from + size);
  const double* energy = params.energy.doubles(segment.src_slot) + channel * 2;
  long double squares = static_cast<long double>(energy[0]) + energy[1];
  for (int64_t t = 0; t < segment.length; ++t) {
    const int64_t position = segment.position + t;
    if (position % params.channels != channel) continue;
    const double u = SampleOfToken(params.token_ids[segment.first_row + t]);
    squares += static_cast<long double>(u) * u;
    c = Step(params, position / params.channels, u, c);
  }
  double* to = params.coefficients.doubles(segment.dst_slot) + channel * size;
  for (int64_t n = 0; n < size; ++n) to[n] = c[n];
  double* total = params.energy.doubles(segment.dst_slot) + channel * 2;
  total[0] = static_cast<double>(squares);
  total[1] = static_cast<double>(squares - total[0]);
}

}  // namespace

void MemoryScan(const MemoryScanParams& params) {
  for (int64_t s = 0; s < params.segment_count; ++s) {
    if (params.segments[s].dst_slot < 0) continue;
    for (int64_t c = 0; c < params.channels; ++c) ScanChannel(params, params.segments[s], c);
  }
}

}  // namespace ssmd::kernels::reference
