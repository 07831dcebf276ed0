#include <cmath>

#include "kernels/reference/ops.h"

namespace ssmd::kernels::reference {
namespace {

void RotateRow(const RotateParams& params, int64_t position, float* x) {
  for (int64_t head = 0; head < params.heads; ++head) {
    for (int64_t i = 0; i < params.head_dim / 2; ++i) {
      const double angle = static_cast<double>(position) * params.frequencies[i];
      float* pair = x + head * params.head_dim + 2 * i;
      const double a = pair[0];
      const double b = pair[1];
      pair[0] = static_cast<float>(params.scale * (a * std::cos(angle) - b * std::sin(angle)));
      pair[1] = static_cast<float>(params.scale * (b * std::cos(angle) + a * std::sin(angle)));
    }
  }
}

}  // namespace

void Rotate(const RotateParams& params) {
  for (int64_t s = 0; s < params.segment_count; ++s) {
    const Segment& segment = params.segments[s];
    if (segment.dst_slot < 0) continue;
    for (int64_t t = 0; t < segment.length; ++t) {
      RotateRow(params, segment.position + t, params.x + (segment.first_row + t) * params.x_stride);
    }
  }
}

}  // namespace ssmd::kernels::reference
