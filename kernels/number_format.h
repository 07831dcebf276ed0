// Conversions between f32 and the 16-bit formats, by bits alone: independent of the CPU's rounding
// and denormal modes. Not for files compiled per ISA (inline code, see kernels/README.md).
#ifndef SSMD_KERNELS_NUMBER_FORMAT_H_
#define SSMD_KERNELS_NUMBER_FORMAT_H_

#include <cstdint>
#include <cstring>

namespace ssmd::kernels {

inline float FloatFromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

inline uint32_t BitsOfFloat(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float WidenBf16(uint16_t bf16) { return FloatFromBits(uint32_t{bf16} << 16); }

// Rounds to nearest even; a NaN stays a (quiet) NaN.
inline uint16_t RoundToBf16(float value) {
  const uint32_t bits = BitsOfFloat(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

inline float WidenF16(uint16_t f16) {
  const uint32_t sign = uint32_t{f16} >> 15 << 31;
  const uint32_t exponent = f16 >> 10 & 0x1F;
  const uint32_t mantissa = f16 & 0x3FF;
  if (exponent == 0x1F) return FloatFromBits(sign | 0x7F800000 | mantissa << 13);
  if (exponent != 0) return FloatFromBits(sign | (exponent + 112) << 23 | mantissa << 13);
  if (mantissa == 0) return FloatFromBits(sign);
  // Subnormal: shift the leading one into the implicit bit's place.
  const int shift = __builtin_clz(mantissa) - 21;
  return FloatFromBits(sign | static_cast<uint32_t>(113 - shift) << 23 |
                       (mantissa << shift & 0x3FF) << 13);
}

// Rounds to nearest even, to infinity from 65520 on; a NaN stays a (quiet) NaN.
inline uint16_t RoundToF16(float value) {
  const uint32_t bits = BitsOfFloat(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return sign | 0x7E00;
  if (magnitude >= 0x477FF000) return sign | 0x7C00;
  if (magnitude >= 0x38800000) {
    const uint32_t rebased = magnitude - (112u << 23);
    return static_cast<uint16_t>(sign | (rebased + 0xFFF + (rebased >> 13 & 1)) >> 13);
  }
  if (magnitude < 0x33000000) return sign;  // below half of the smallest subnormal
  // Subnormal: the significand in units of 2^−24, rounded by what is shifted out.
  const uint32_t significand = (magnitude & 0x7FFFFF) | 0x800000;
  const uint32_t shift = 126 - (magnitude >> 23);
  const uint32_t half = 1u << (shift - 1);
  const uint32_t odd = significand >> shift & 1;
  return static_cast<uint16_t>(sign | (significand + half - 1 + odd) >> shift);
}

}  // namespace ssmd::kernels

#endif  // SSMD_KERNELS_NUMBER_FORMAT_H_
