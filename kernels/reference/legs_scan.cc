// State is double within a segment (see selective_scan.cc). The exact step by quadrature.
#include <cmath>
#include <numbers>
#include <vector>

#include "kernels/reference/ops.h"
#include "kernels/reference/state.h"

namespace ssmd::kernels::reference {
namespace {

// Normalised Legendre polynomials 0 … n − 1 on [0, 1], at x.
std::vector<double> PolynomialsAt(double x, int64_t n) {
  std::vector<double> p(static_cast<size_t>(n));
  double last = 0;
  double plain = 1;
  for (int64_t i = 0; i < n; ++i) {
    const auto degree = static_cast<double>(i);
    p[i] = std::sqrt(2 * degree + 1) * plain;
    const double next = ((2 * degree + 1) * (2 * x - 1) * plain - degree * last) / (degree + 1);
    last = plain;
    plain = next;
  }
  return p;
}

// By forward substitution: A is lower triangular, and below its diagonal the product of two
// vectors, so that sums over lower coefficients can be kept.
void StepBilinear(int64_t position, double u, std::vector<double>& h) {
  const double half = 0.5 / static_cast<double>(position);
  double sum = 0;  // Σ √(2m+1) (h[m] + h'[m]) over those before n
  for (size_t n = 0; n < h.size(); ++n) {
    const auto degree = static_cast<double>(n);
    const double root = std::sqrt(2 * degree + 1);
    const double old = h[n];
    const double right = (1 - half * (degree + 1)) * old + half * root * (2 * u - sum);
    h[n] = right / (1 + half * (degree + 1));
    sum += root * (old + h[n]);
  }
}

// The mean of the n-th polynomial over [from, 1], times its length: of the sample that is held.
double HeldPart(const std::vector<double>& at, int64_t n, double from) {
  if (n == 0) return 1 - from;
  // ∫ P_n = (P_{n+1} − P_{n−1}) / (2n + 1), which is 0 at 1.
  const auto degree = static_cast<double>(n);
  const double below = at[n - 1] / std::sqrt(2 * degree - 1);
  const double above = at[n + 1] / std::sqrt(2 * degree + 3);
  return (below - above) / (2 * std::sqrt(2 * degree + 1));
}

void StepExact(const LegsRule& rule, int64_t position, double u, std::vector<double>& h) {
  const auto size = static_cast<int64_t>(h.size());
  const double squeeze = static_cast<double>(position) / static_cast<double>(position + 1);
  std::vector<double> next(h.size(), 0.0);
  for (int64_t j = 0; j < size; ++j) {
    const std::vector<double> here = PolynomialsAt(rule.nodes[j], size);
    double old = 0;
    for (int64_t n = 0; n < size; ++n) old += here[n] * h[n];
    const std::vector<double> there = PolynomialsAt(squeeze * rule.nodes[j], size);
    for (int64_t n = 0; n < size; ++n) next[n] += squeeze * rule.weights[j] * old * there[n];
  }
  const std::vector<double> end = PolynomialsAt(squeeze, size + 1);
  for (int64_t n = 0; n < size; ++n) next[n] += HeldPart(end, n, squeeze) * u;
  h = next;
}

void ScanChannel(const LegsScanParams& params, const LegsRule& rule, const Segment& segment,
                 int64_t channel) {
  const int64_t lanes = PaddedLanes(params.channels);
  std::vector<double> h(static_cast<size_t>(params.state_size));
  for (int64_t n = 0; n < params.state_size; ++n) {
    h[n] = ReadState(params.state, segment.src_slot, n * lanes + channel);
  }
  for (int64_t t = 0; t < segment.length; ++t) {
    const int64_t row = segment.first_row + t;
    const double u = params.u[row * params.u_stride + channel];
    StepLegs(params.step, rule, segment.position + t, u, h);
    if (params.output == nullptr) continue;
    double y = params.d[channel] * u;
    for (int64_t n = 0; n < params.state_size; ++n) {
      y += params.output[n * lanes + channel] * h[n];
    }
    params.y[row * params.y_stride + channel] = static_cast<float>(y);
  }
  for (int64_t n = 0; n < params.state_size; ++n) {
    WriteState(params.state, segment.dst_slot, n * lanes + channel, h[n]);
  }
}

}  // namespace

// The roots of P_size by Newton's method, from where they nearly are.
LegsRule::LegsRule(int64_t size) {
  constexpr int kRounds = 10;
  const auto degree = static_cast<double>(size);
  for (int64_t j = 0; j < size; ++j) {
    double z = std::cos(std::numbers::pi * (static_cast<double>(j) + 0.75) / (degree + 0.5));
    double slope = 0;
    for (int round = 0; round < kRounds; ++round) {
      const std::vector<double> p = PolynomialsAt((1 + z) / 2, size + 1);
      const double value = p[size] / std::sqrt(2 * degree + 1);
      slope = degree * (z * value - p[size - 1] / std::sqrt(2 * degree - 1)) / (z * z - 1);
      z -= value / slope;
    }
    nodes.push_back((1 + z) / 2);
    weights.push_back(1 / ((1 - z * z) * slope * slope));
  }
}

void StepLegs(LegsStep step, const LegsRule& rule, int64_t position, double u,
              std::vector<double>& h) {
  if (position == 0) {
    h.assign(h.size(), 0.0);
    h[0] = u;
  } else if (step == LegsStep::kBilinear) {
    StepBilinear(position, u, h);
  } else {
    StepExact(rule, position, u, h);
  }
}

void LegsScan(const LegsScanParams& params) {
  const LegsRule rule(params.step == LegsStep::kExact ? params.state_size : 0);
  for (int64_t s = 0; s < params.segment_count; ++s) {
    const Segment& segment = params.segments[s];
    if (segment.dst_slot < 0) continue;
    for (int64_t c = 0; c < params.channels; ++c) ScanChannel(params, rule, segment, c);
    ClearRowPadding(params.state, segment.dst_slot, params.channels, params.state_size);
  }
}

}  // namespace ssmd::kernels::reference
