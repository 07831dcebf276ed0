// State is double within a segment (see selective_scan.cc).
#include <cmath>
#include <vector>

#include "kernels/reference/ops.h"
#include "kernels/reference/state.h"

namespace ssmd::kernels::reference {
namespace {

double DecayOf(const Wkv6Params& params, int64_t row, int64_t column) {
  if (params.decay_row == nullptr) return params.decay[column];
  const double decay =
      double{params.decay[column]} + params.decay_row[row * params.decay_stride + column];
  return std::exp(-std::exp(decay));
}

// Column j of a head's matrix: s[i] = S[i][j].
void ScanHeadColumn(const Wkv6Params& params, const Segment& segment, int64_t head, int64_t j,
                    std::vector<double>& s) {
  const int64_t dim = params.head_dim;
  const int64_t first = head * dim * dim + j;
  for (int64_t i = 0; i < dim; ++i) {
    s[i] = ReadState(params.state, segment.src_slot, first + i * dim);
  }
  for (int64_t t = 0; t < segment.length; ++t) {
    const int64_t row = segment.first_row + t;
    const int64_t base = row * params.x_stride;
    const double v = params.v[base + head * dim + j];
    double y = 0;
    for (int64_t i = 0; i < dim; ++i) {
      const int64_t column = head * dim + i;
      const double kv = params.k[base + column] * v;
      y += params.r[base + column] * (params.bonus[column] * kv + s[i]);
      s[i] = DecayOf(params, row, column) * s[i] + kv;
    }
    params.y[row * params.y_stride + head * dim + j] = static_cast<float>(y);
  }
  for (int64_t i = 0; i < dim; ++i) {
    WriteState(params.state, segment.dst_slot, first + i * dim, s[i]);
  }
}

}  // namespace

void Wkv6(const Wkv6Params& params) {
  std::vector<double> s(static_cast<size_t>(params.head_dim));
  for (int64_t i = 0; i < params.segment_count; ++i) {
    const Segment& segment = params.segments[i];
    if (segment.dst_slot < 0) continue;
    for (int64_t head = 0; head < params.heads; ++head) {
      for (int64_t j = 0; j < params.head_dim; ++j) {
        ScanHeadColumn(params, segment, head, j, s);
      }
    }
  }
}

}  // namespace ssmd::kernels::reference
