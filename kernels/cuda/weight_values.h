// Single weights of a packed matrix (layout.h) as f32: what plain kernels see of the formats.
#ifndef SSMD_KERNELS_CUDA_WEIGHT_VALUES_H_
#define SSMD_KERNELS_CUDA_WEIGHT_VALUES_H_

#include "kernels/cuda/layout.h"
#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda {

// e4m3, exactly (quantise.h).
SIMT_DEVICE float E4m3ToFloat(uint32_t code) {
  const uint32_t sign = (code & 0x80) << 24;
  const uint32_t exponent = code >> 3 & 0xF;
  const uint32_t significand = code & 7;
  const float denormal = static_cast<float>(significand) * 0x1p-9f;
  const uint32_t normal = (exponent + 120) << 23 | significand << 20;
  return FloatOf(sign | (exponent == 0 ? BitsOf(denormal) : normal));
}

// A code of 16 bits or fewer as the number that it stands for before factors.
template <WeightFormat kFormat>
SIMT_DEVICE float CodeValue(uint32_t code) {
  switch (kFormat) {
    case WeightFormat::kBf16:
      return FloatOf(code << 16);
    case WeightFormat::kF16:
      return HalfToFloat(static_cast<uint16_t>(code));
    case WeightFormat::kFp8:
      return E4m3ToFloat(code);
    case WeightFormat::kQ8:
      return static_cast<float>(static_cast<int32_t>(code) - 128);
    default:
      return static_cast<float>(code);
  }
}

// Weight (output, input), rounded once where a factor makes it long.
template <WeightFormat kFormat>
SIMT_DEVICE float WeightAt(const WeightView& w, int64_t output, int64_t input) {
  const std::byte* panel = w.data + output / kPanelOutputs * w.panel_bytes;
  const int o = static_cast<int>(output % kPanelOutputs);
  const CodePlace place = PlaceOfCode(kFormat, o, input);
  const std::byte* at = panel + place.byte;
  const std::byte* factors = panel + w.factor_offset;
  if constexpr (kFormat == WeightFormat::kF32) {
    return *reinterpret_cast<const float*>(at);
  } else if constexpr (CodeBits(kFormat) == 16) {
    return CodeValue<kFormat>(*reinterpret_cast<const uint16_t*>(at));
  } else if constexpr (kFormat == WeightFormat::kFp8) {
    return CodeValue<kFormat>(*reinterpret_cast<const uint8_t*>(at)) *
           reinterpret_cast<const float*>(factors)[o];
  } else {
    const std::byte* scale = factors + PlaceOfScale(kFormat, o, input / 32);
    const float s = HalfToFloat(*reinterpret_cast<const uint16_t*>(scale));
    const uint32_t code = *reinterpret_cast<const uint8_t*>(at);
    if constexpr (kFormat == WeightFormat::kQ8) return s * CodeValue<kFormat>(code);
    const auto* minimum = reinterpret_cast<const uint16_t*>(scale + kMinimumOffset);
    return Fma(s, CodeValue<kFormat>(code >> place.shift & 0xF), HalfToFloat(*minimum));
  }
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_WEIGHT_VALUES_H_
