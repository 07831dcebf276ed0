#include "kernels/state_format.h"

#include <algorithm>
#include <cmath>

#include "kernels/number_format.h"
#include "kernels/tensor.h"

namespace ssmd::kernels {
namespace {

constexpr uint32_t kInfinity = 0x7F800000;
constexpr uint32_t kSmallestNormalF16 = 0x38800000;  // 2^−14
constexpr uint32_t kRebaseF16 = 112u << 23;          // between the two formats' exponents
constexpr uint32_t kLargestBf16 = 0x7F7F, kLargestF16 = 0x7BFF;

}  // namespace

size_t StateFormatBytes(StateFormat format) {
  switch (format) {
    case StateFormat::kF64:
      return 8;
    case StateFormat::kF32:
      return 4;
    case StateFormat::kBf16:
    case StateFormat::kF16:
      return 2;
  }
  return 0;
}

std::string_view StateFormatName(StateFormat format) {
  switch (format) {
    case StateFormat::kF32:
      return "f32";
    case StateFormat::kBf16:
      return "bf16";
    case StateFormat::kF16:
      return "f16";
    case StateFormat::kF64:
      return "f64";
  }
  return "";
}

std::optional<StateFormat> ParseStateFormat(std::string_view name) {
  for (StateFormat format : kAllStateFormats) {
    if (name == StateFormatName(format)) return format;
  }
  return std::nullopt;
}

uint32_t RoundingKey(int64_t position, uint32_t layer) {
  uint64_t x = static_cast<uint64_t>(position) + (uint64_t{layer} << 40) + 0x9E3779B97F4A7C15;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
  x = (x ^ x >> 27) * 0x94D049BB133111EB;
  return static_cast<uint32_t>((x ^ x >> 31) >> 32);
}

uint32_t RoundingWord(uint32_t key, uint32_t element) {
  uint32_t x = key + element * 0x9E3779B9;
  x = (x ^ x >> 15) * 0x2C1B3C6D;
  return x ^ x >> 15;
}

uint16_t RoundStateToBf16(float value, uint32_t word) {
  const uint32_t bits = BitsOfFloat(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude >= kInfinity) return RoundToBf16(value);
  return static_cast<uint16_t>(sign | std::min((magnitude + (word >> 16)) >> 16, kLargestBf16));
}

uint16_t RoundStateToF16(float value, uint32_t word) {
  const uint32_t bits = BitsOfFloat(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude >= kInfinity) return RoundToF16(value);
  const uint32_t drawn = word >> 19;
  if (magnitude < kSmallestNormalF16) {
    const float units = FloatFromBits(magnitude) * 0x1p24f;
    const float sum = units + static_cast<float>(drawn) * 0x1p-13f;
    return static_cast<uint16_t>(sign | static_cast<uint32_t>(sum));
  }
  return static_cast<uint16_t>(sign |
                               std::min((magnitude - kRebaseF16 + drawn) >> 13, kLargestF16));
}

}  // namespace ssmd::kernels
