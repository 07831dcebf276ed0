#include "kernels/quantise.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/matrix_source.h"
#include "kernels/number_format.h"

namespace ssmd::kernels {
namespace {

constexpr float kMaxQ8 = 127;
constexpr float kMaxQ4 = 15;
// Widths, in steps of q4, that the range of a group is tried as. Below 15 the outermost weights are
// clipped, which pays where one of them is far out.
constexpr float kWidths[] = {15.0f, 14.25f, 13.5f, 12.75f, 12.0f};

// To the nearest integer, ties to even. |x| < 2^22.
float RoundToInteger(float x) { return x + 0x1.8p23f - 0x1.8p23f; }

// By value, which the compiler makes into instructions without branches.
float Clamp(float x, float low, float high) {
  const float raised = x > low ? x : low;
  return raised < high ? raised : high;
}

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
    const float code = RoundToInteger(Clamp(weights[i] / scale, -kMaxQ8, kMaxQ8));
    group.codes[i] = static_cast<uint8_t>(static_cast<int>(code) + kCodeOffset);
  }
  return group;
}

// Sums over a group in eight lanes, which the compiler keeps in vector registers.
constexpr int kSumLanes = 8;
float Total(const float (&lanes)[kSumLanes]) {
  float total = 0;
  for (const float lane : lanes) total += lane;
  return total;
}

// A whole group of weights as codes of q4, and how far off they are.
struct Line {
  float codes[kGroupInputs];
  uint16_t scale;
  uint16_t minimum;
  float error;  // Σ squares
};

// Rounds scale and minimum to f16, and the weights to them.
Line RoundToLine(const float* weights, float scale, float minimum) {
  Line line;
  line.scale = RoundToF16(scale);
  line.minimum = RoundToF16(minimum);
  const float s = WidenF16(line.scale);
  const float m = WidenF16(line.minimum);
  const float inverse = s > 0 ? 1 / s : 0;
  for (int64_t i = 0; i < kGroupInputs; ++i) {
    line.codes[i] = RoundToInteger(Clamp((weights[i] - m) * inverse, 0, kMaxQ4));
  }
  float errors[kSumLanes] = {};
  for (int64_t i = 0; i < kGroupInputs; i += kSumLanes) {
    for (int lane = 0; lane < kSumLanes; ++lane) {
      const float miss = s * line.codes[i + lane] + m - weights[i + lane];
      errors[lane] += miss * miss;
    }
  }
  line.error = Total(errors);
  return line;
}

// The line through (code, weight) with the smallest sum of squares, if it is better.
void Refine(const float* weights, Line* line) {
  float u[kSumLanes] = {}, uu[kSumLanes] = {}, w[kSumLanes] = {}, uw[kSumLanes] = {};
  for (int64_t i = 0; i < kGroupInputs; i += kSumLanes) {
    for (int lane = 0; lane < kSumLanes; ++lane) {
      const float code = line->codes[i + lane];
      const float weight = weights[i + lane];
      u[lane] += code;
      uu[lane] += code * code;
      w[lane] += weight;
      uw[lane] += code * weight;
    }
  }
  constexpr auto kN = static_cast<float>(kGroupInputs);
  const float determinant = kN * Total(uu) - Total(u) * Total(u);
  if (!(determinant > 0)) return;  // one code for all
  const float scale = (kN * Total(uw) - Total(u) * Total(w)) / determinant;
  const Line refined = RoundToLine(weights, scale, (Total(w) - scale * Total(u)) / kN);
  if (refined.error < line->error) *line = refined;
}

QuantisedGroup QuantiseQ4(const float* weights, int64_t count) {
  // What is missing counts as copies of the first, which leave the range as it is.
  float whole[kGroupInputs];
  for (int64_t i = 0; i < kGroupInputs; ++i) whole[i] = weights[i < count ? i : 0];
  const auto [low, high] = std::minmax_element(whole, whole + kGroupInputs);
  const float range = *high - *low;
  Line best = {};
  best.error = std::numeric_limits<float>::infinity();
  for (const float width : kWidths) {
    // Clipped at both ends alike.
    const float scale = range / width;
    Line line = RoundToLine(whole, scale, *low + (range - kMaxQ4 * scale) / 2);
    Refine(whole, &line);
    if (line.error < best.error) best = line;
  }
  QuantisedGroup group = {};
  group.scale = best.scale;
  group.minimum = best.minimum;
  for (int64_t i = 0; i < count; ++i) group.codes[i] = static_cast<uint8_t>(best.codes[i]);
  return group;
}

// Whether a block of the source is a group of the format, which can say all that it says.
bool HoldsGroups(MatrixSource::Type type, WeightFormat format) {
  return type == MatrixSource::Type::kQ4_0 ||
         (type == MatrixSource::Type::kQ8_0 && format == WeightFormat::kQ8);
}

// Of a block whose codes are signed: −8..7 in Q4_0, −128..127 in Q8_0. Its scale may be negative.
QuantisedGroup GroupOfBlock(const std::byte* block, MatrixSource::Type type, WeightFormat format) {
  QuantisedGroup group = {};
  std::memcpy(&group.scale, block, sizeof(group.scale));
  const std::byte* codes = block + sizeof(group.scale);
  const bool q4_0 = type == MatrixSource::Type::kQ4_0;
  const int offset = format == WeightFormat::kQ4 ? 8 : kCodeOffset;
  for (int i = 0; i < kGroupInputs; ++i) {
    const auto byte = std::to_integer<uint8_t>(codes[q4_0 ? i % 16 : i]);
    const int code = q4_0 ? (i < 16 ? byte & 0xF : byte >> 4) - 8 : static_cast<int8_t>(byte);
    group.codes[i] = static_cast<uint8_t>(code + offset);
  }
  if (format == WeightFormat::kQ4) group.minimum = RoundToF16(-8 * WidenF16(group.scale));
  return group;
}

}  // namespace

QuantisedGroup QuantiseGroup(const float* weights, int64_t count, WeightFormat format) {
  return format == WeightFormat::kQ4 ? QuantiseQ4(weights, count) : QuantiseQ8(weights, count);
}

void QuantiseSourceRow(const MatrixSource& source, int64_t row, WeightFormat format, float* scratch,
                       QuantisedGroup* groups) {
  const int64_t count = GroupCount(source.inputs);
  if (HoldsGroups(source.source, format)) {
    const size_t bytes = BlockOf(source.source).bytes;
    const std::byte* block = source.data + static_cast<size_t>(row * count) * bytes;
    for (int64_t i = 0; i < count; ++i, block += bytes) {
      groups[i] = GroupOfBlock(block, source.source, format);
    }
    return;
  }
  ReadSourceRow(source, row, scratch);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t begin = i * kGroupInputs;
    groups[i] =
        QuantiseGroup(scratch + begin, std::min(kGroupInputs, source.inputs - begin), format);
  }
}

double DequantisedWeight(const QuantisedGroup& group, int64_t i, WeightFormat format) {
  const double scale = WidenF16(group.scale);
  if (format == WeightFormat::kQ4) return scale * group.codes[i] + WidenF16(group.minimum);
  return scale * (group.codes[i] - kCodeOffset);
}

uint8_t RoundToE4m3(float value) {
  const auto sign = static_cast<uint8_t>(BitsOfFloat(value) >> 31 << 7);
  const float magnitude = std::fabs(value);
  if (magnitude >= kMaxE4m3) return sign | 0x7E;
  // In eighths of 2^−6, the step of denormals and of the lowest binade.
  if (magnitude < 0x1p-6f) return sign | static_cast<uint8_t>(RoundToInteger(magnitude * 0x1p9f));
  const uint32_t rebased = BitsOfFloat(magnitude) - (120u << 23);
  return static_cast<uint8_t>(sign | (rebased + 0x7FFFF + (rebased >> 20 & 1)) >> 20);
}

float WidenE4m3(uint8_t code) {
  const int exponent = code >> 3 & 0xF;
  const int significand = code & 7;
  const float magnitude = exponent == 0
                              ? static_cast<float>(significand) * 0x1p-9f
                              : FloatFromBits(static_cast<uint32_t>(exponent + 120) << 23 |
                                              static_cast<uint32_t>(significand) << 20);
  return code >> 7 != 0 ? -magnitude : magnitude;
}

float E4m3Scale(const float* weights, int64_t count) {
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(weights[i]));
  const float scale = largest / kMaxE4m3;
  return scale < std::numeric_limits<float>::min() ? 0 : scale;
}

uint8_t E4m3Code(float weight, float scale) { return scale == 0 ? 0 : RoundToE4m3(weight / scale); }

}  // namespace ssmd::kernels
