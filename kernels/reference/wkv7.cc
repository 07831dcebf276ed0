// State is double within a segment (see selective_scan.cc).
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/reference/ops.h"
#include "kernels/reference/state.h"

namespace ssmd::kernels::reference {
namespace {

using HeadVector = std::vector<double>;

// A token of a head, as the recurrence takes it.
struct Wkv7Token {
  explicit Wkv7Token(int64_t dim) : r(dim), w(dim), k(dim), v(dim), a(dim), kappa(dim) {}
  HeadVector r, w, k, v, a, kappa;
};

double HeadDot(const HeadVector& a, const HeadVector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// `at` is the head's first column in its row, `column` the same in row 0.
void Prepare(const Wkv7Params& params, int64_t at, int64_t column, Wkv7Token& token) {
  for (int64_t i = 0; i < params.head_dim; ++i) {
    const double k = params.k[at + i];
    token.r[i] = params.r[at + i];
    token.v[i] = params.v[at + i];
    if (params.v_gate != nullptr) {
      token.v[i] += (params.v_first[at + i] - token.v[i]) * Sigmoid(params.v_gate[at + i]);
    }
    token.a[i] = Sigmoid(params.a_raw[at + i]);
    token.w[i] = std::exp(-std::exp(-0.5) * Sigmoid(params.w_raw[at + i]));
    token.kappa[i] = k * params.k_k[column + i];
    token.k[i] = k * (1 + (token.a[i] - 1) * params.k_a[column + i]);
  }
  const double norm = std::max(std::sqrt(HeadDot(token.kappa, token.kappa)), 1e-12);
  for (double& kappa : token.kappa) kappa /= norm;
}

// Row i of the matrix, s, after the token; returns what r reads of it.
double StepRow(const Wkv7Token& token, int64_t i, HeadVector& s) {
  const double removed = HeadDot(s, token.kappa);
  for (size_t j = 0; j < s.size(); ++j) {
    s[j] = token.w[j] * s[j] - removed * token.kappa[j] * token.a[j] + token.v[i] * token.k[j];
  }
  return HeadDot(s, token.r);
}

void WriteOutput(const Wkv7Params& params, const Wkv7Token& token, const HeadVector& o, int64_t at,
                 int64_t column, float* y) {
  const int64_t dim = params.head_dim;
  double mean = 0;
  for (const double value : o) mean += value / static_cast<double>(dim);
  double variance = 0;
  for (const double value : o) variance += (value - mean) * (value - mean);
  variance /= static_cast<double>(dim);
  double bonus = 0;
  for (int64_t i = 0; i < dim; ++i) bonus += token.r[i] * token.k[i] * params.r_k[column + i];
  for (int64_t i = 0; i < dim; ++i) {
    const double norm = (o[i] - mean) / std::sqrt(variance + double{params.norm_eps});
    const double read = norm * params.norm_weight[column + i] + params.norm_bias[column + i];
    y[i] = static_cast<float>((read + bonus * token.v[i]) * params.g[at + i]);
  }
}

void ScanHead(const Wkv7Params& params, const Segment& segment, int64_t head) {
  const int64_t dim = params.head_dim;
  const int64_t column = head * dim;
  const auto element = [&](int64_t i, int64_t j) { return (column + j) * dim + i; };
  std::vector<HeadVector> s(dim, HeadVector(dim));
  for (int64_t i = 0; i < dim; ++i) {
    for (int64_t j = 0; j < dim; ++j) {
      s[i][j] = ReadState(params.state, segment.src_slot, element(i, j));
    }
  }
  Wkv7Token token(dim);
  HeadVector o(dim);
  for (int64_t t = 0; t < segment.length; ++t) {
    const int64_t row = segment.first_row + t;
    const int64_t at = row * params.x_stride + column;
    Prepare(params, at, column, token);
    for (int64_t i = 0; i < dim; ++i) o[i] = StepRow(token, i, s[i]);
    WriteOutput(params, token, o, at, column, params.y + row * params.y_stride + column);
  }
  for (int64_t i = 0; i < dim; ++i) {
    for (int64_t j = 0; j < dim; ++j) {
      WriteState(params.state, segment.dst_slot, element(i, j), s[i][j]);
    }
  }
}

}  // namespace

void Wkv7(const Wkv7Params& params) {
  for (int64_t s = 0; s < params.segment_count; ++s) {
    const Segment& segment = params.segments[s];
    if (segment.dst_slot < 0) continue;
    for (int64_t head = 0; head < params.heads; ++head) ScanHead(params, segment, head);
  }
}

}  // namespace ssmd::kernels::reference
