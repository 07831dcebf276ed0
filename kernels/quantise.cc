#include "kernels/quantise.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/number_format.h"

namespace ssmd::kernels {
namespace {

constexpr float kMaxQ8 = 127;
constexpr float kMaxQ4 = 15;
// Widths, in steps of q4, that the range of a group is tried as. Below 15 the outermost weights are
// clipped, which pays where one of them is far out.
constexpr float kWidths[] = {15.0f, 14.5f, 14.0f, 13.5f, 13.0f, 12.5f, 12.0f, 15.5f, 16.0f};

// To the nearest integer, ties to even. |x| < 2^22.
float RoundToInteger(float x) { return x + 0x1.8p23f - 0x1.8p23f; }

QuantisedGroup QuantiseQ8(const float* weights, int64_t count) {
  QuantisedGroup group = {};
  std::fill(group.codes, group.codes + kGroupInputs, static_cast<uint8_t>(kCodeOffset));
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(weights[i]));
  group.scale = RoundToF16(largest / kMaxQ8);
  // Where rounding the scale down would clip the largest weight by more than half a step.
  if (largest > (kMaxQ8 + 0.5f) * WidenF16(group.scale)) ++group.scale;
  const float scale = WidenF16(group.scale);
  if (scale == 0) return group;
  for (int64_t i = 0; i < count; ++i) {
    const float code = RoundToInteger(std::clamp(weights[i] / scale, -kMaxQ8, kMaxQ8));
    group.codes[i] = static_cast<uint8_t>(static_cast<int>(code) + kCodeOffset);
  }
  return group;
}

// The line through (code, weight) with the smallest sum of squares. False where all codes are one.
bool FitLine(const float* weights, const uint8_t* codes, int64_t count, float* scale,
             float* minimum) {
  float n = 0, sum_u = 0, sum_uu = 0, sum_w = 0, sum_uw = 0;
  for (int64_t i = 0; i < count; ++i) {
    const auto u = static_cast<float>(codes[i]);
    n += 1;
    sum_u += u;
    sum_uu += u * u;
    sum_w += weights[i];
    sum_uw += u * weights[i];
  }
  const float determinant = n * sum_uu - sum_u * sum_u;
  if (!(determinant > 0)) return false;
  *scale = (n * sum_uw - sum_u * sum_w) / determinant;
  *minimum = (sum_w - *scale * sum_u) / n;
  return true;
}

// Rounds scale and minimum to f16, codes to them, and returns the sum of squared errors.
float RoundToLine(const float* weights, int64_t count, float scale, float minimum,
                  QuantisedGroup* group) {
  group->scale = RoundToF16(scale);
  group->minimum = RoundToF16(minimum);
  const float s = WidenF16(group->scale);
  const float m = WidenF16(group->minimum);
  const float inverse = s > 0 ? 1 / s : 0;
  float error = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float code = RoundToInteger(std::clamp((weights[i] - m) * inverse, 0.0f, kMaxQ4));
    group->codes[i] = static_cast<uint8_t>(code);
    const float miss = s * code + m - weights[i];
    error += miss * miss;
  }
  return error;
}

QuantisedGroup QuantiseQ4(const float* weights, int64_t count) {
  const auto [low, high] = std::minmax_element(weights, weights + count);
  const float range = *high - *low;
  QuantisedGroup best = {};
  float least = std::numeric_limits<float>::infinity();
  for (const float width : kWidths) {
    // Clipped, or widened, at both ends alike.
    QuantisedGroup group = {};
    const float scale = range / width;
    float minimum = *low + (range - kMaxQ4 * scale) / 2;
    float error = RoundToLine(weights, count, scale, minimum, &group);
    float fitted = 0;
    if (FitLine(weights, group.codes, count, &fitted, &minimum)) {
      QuantisedGroup refined = {};
      const float refined_error = RoundToLine(weights, count, fitted, minimum, &refined);
      if (refined_error < error) {
        group = refined;
        error = refined_error;
      }
    }
    if (error < least) {
      best = group;
      least = error;
    }
  }
  return best;
}

}  // namespace

QuantisedGroup QuantiseGroup(const float* weights, int64_t count, WeightFormat format) {
  return format == WeightFormat::kQ4 ? QuantiseQ4(weights, count) : QuantiseQ8(weights, count);
}

double DequantisedWeight(const QuantisedGroup& group, int64_t i, WeightFormat format) {
  const double scale = WidenF16(group.scale);
  if (format == WeightFormat::kQ4) return scale * group.codes[i] + WidenF16(group.minimum);
  return scale * (group.codes[i] - kCodeOffset);
}

}  // namespace ssmd::kernels
