// dot_scalar.h in NEON, without the dot-product instructions that older CPUs lack. Include after
// vec_neon.h. Internal linkage.
//
// Codes are widened to 16 bits, even and odd inputs of a quad apart, as in dot_avx2.h. Four outputs
// a register: products of 16 bits by 16 make 32, and neighbours are added.
#ifndef SSMD_KERNELS_CPU_DOT_NEON_H_
#define SSMD_KERNELS_CPU_DOT_NEON_H_

#include <arm_neon.h>

#include <cstdint>

namespace ssmd::kernels::cpu {
namespace {

// 16 sums, 4 registers of codes, an input and room for products.
constexpr int kDotRows = 4;
constexpr int kDotPanels = 1;
constexpr int kByteParts = 2;

struct I16 {
  int32x4_t part[4];
};
inline I16 BroadcastInt(int32_t x) {
  const int32x4_t v = vdupq_n_s32(x);
  return {{v, v, v, v}};
}
inline F16 ToFloat(const I16& a) {
  return {vcvtq_f32_s32(a.part[0]), vcvtq_f32_s32(a.part[1]), vcvtq_f32_s32(a.part[2]),
          vcvtq_f32_s32(a.part[3])};
}

inline F16 LoadHalves(const void* p) {
  const auto* bits = static_cast<const uint16_t*>(p);
  const auto widen = [bits](int first) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(bits + first)));
  };
  return {widen(0), widen(4), widen(8), widen(12)};
}

// Codes of one part of a line, 16 bits each.
struct Codes16 {
  int16x8_t part[4];
};
template <int kPart>
inline Codes16 LoadBytes(const uint8_t* line) {
  Codes16 codes;
  for (int i = 0; i < 4; ++i) {
    const uint16x8_t pairs = vreinterpretq_u16_u8(vld1q_u8(line + 16 * i));
    codes.part[i] = vreinterpretq_s16_u16(kPart == 1 ? vshrq_n_u16(pairs, 8)
                                                     : vandq_u16(pairs, vdupq_n_u16(0xFF)));
  }
  return codes;
}
inline int32x4_t PairProducts(int16x8_t codes, int16x8_t input) {
  return vpaddq_s32(vmull_s16(vget_low_s16(codes), vget_low_s16(input)),
                    vmull_high_s16(codes, input));
}
inline void AddByteProducts(const Codes16& w, uint32_t word, I16& sum) {
  const int16x8_t input = vreinterpretq_s16_u32(vdupq_n_u32(word));
  for (int i = 0; i < 4; ++i) {
    sum.part[i] = vaddq_s32(sum.part[i], PairProducts(w.part[i], input));
  }
}

// q4 takes a quad in one word: its codes stay bytes until they meet the input.
struct Nibbles16 {
  int8x16_t part[4];
};
template <int kHalf>
inline Nibbles16 LoadNibbles(const uint8_t* line) {
  Nibbles16 codes;
  for (int i = 0; i < 4; ++i) {
    const uint8x16_t bytes = vld1q_u8(line + 16 * i);
    codes.part[i] =
        vreinterpretq_s8_u8(kHalf == 1 ? vshrq_n_u8(bytes, 4) : vandq_u8(bytes, vdupq_n_u8(0xF)));
  }
  return codes;
}
using NibbleSum = I16;
inline NibbleSum ZeroNibbleSum() { return BroadcastInt(0); }
inline void AddNibbleProducts(const Nibbles16& w, uint32_t word, NibbleSum& sum) {
  const int8x16_t input = vreinterpretq_s8_u32(vdupq_n_u32(word));
  for (int i = 0; i < 4; ++i) {
    const int16x8_t low = vmull_s8(vget_low_s8(w.part[i]), vget_low_s8(input));
    const int16x8_t high = vmull_high_s8(w.part[i], input);
    // Two outputs a register: add the halves of each quad, then the quarters.
    sum.part[i] = vaddq_s32(sum.part[i], vpaddlq_s16(vpaddq_s16(low, high)));
  }
}
inline I16 WidenSum(const NibbleSum& sum) { return sum; }

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_DOT_NEON_H_
