// Sixteen f32 lanes as four NEON registers. vec_scalar.h says what each function means. Every
// AArch64 CPU has these instructions.
//
// Included by kernels_neon.cc alone. Internal linkage, like its neighbours.
#ifndef SSMD_KERNELS_CPU_VEC_NEON_H_
#define SSMD_KERNELS_CPU_VEC_NEON_H_

#include <arm_neon.h>

#include <cstdint>

namespace ssmd::kernels::cpu {
namespace {

constexpr int kLanes = 16;

// 32 registers: 20 accumulators, 4 of weights, 5 inputs (a sixth row's accumulators would wait in
// memory, since GCC loads the inputs first); a low tile has 16 and 8.
constexpr int kTileRows = 5, kTilePanels = 1;
constexpr int kLowTileRows = 2, kLowTilePanels = 2;

// Lanes 0–3, 4–7, 8–11 and 12–15.
struct F16 {
  float32x4_t a, b, c, d;
};
struct W16 {
  uint32x4_t a, b, c, d;
};
struct D16 {
  float64x2_t part[8];
};
constexpr int kDoubleLanes = 8;
struct D8 {
  float64x2_t a, b, c, d;
};

inline F16 Load(const float* p) {
  return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
inline void Store(float* p, F16 v) {
  vst1q_f32(p, v.a);
  vst1q_f32(p + 4, v.b);
  vst1q_f32(p + 8, v.c);
  vst1q_f32(p + 12, v.d);
}
inline F16 Broadcast(float x) {
  const float32x4_t v = vdupq_n_f32(x);
  return {v, v, v, v};
}
inline void Prefetch(const void* p) { __builtin_prefetch(p); }

inline F16 operator+(F16 x, F16 y) {
  return {vaddq_f32(x.a, y.a), vaddq_f32(x.b, y.b), vaddq_f32(x.c, y.c), vaddq_f32(x.d, y.d)};
}
inline F16 operator-(F16 x, F16 y) {
  return {vsubq_f32(x.a, y.a), vsubq_f32(x.b, y.b), vsubq_f32(x.c, y.c), vsubq_f32(x.d, y.d)};
}
inline F16 operator*(F16 x, F16 y) {
  return {vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b), vmulq_f32(x.c, y.c), vmulq_f32(x.d, y.d)};
}
inline F16 operator/(F16 x, F16 y) {
  return {vdivq_f32(x.a, y.a), vdivq_f32(x.b, y.b), vdivq_f32(x.c, y.c), vdivq_f32(x.d, y.d)};
}
// NEON's comes with the addend first.
inline F16 Fma(F16 x, F16 y, F16 z) {
  return {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c),
          vfmaq_f32(z.d, x.d, y.d)};
}
inline F16 NegatedFma(F16 x, F16 y, F16 z) {
  return {vfmsq_f32(z.a, x.a, y.a), vfmsq_f32(z.b, x.b, y.b), vfmsq_f32(z.c, x.c, y.c),
          vfmsq_f32(z.d, x.d, y.d)};
}

// Lanes of all ones where x > y.
inline W16 Greater(F16 x, F16 y) {
  return {vcgtq_f32(x.a, y.a), vcgtq_f32(x.b, y.b), vcgtq_f32(x.c, y.c), vcgtq_f32(x.d, y.d)};
}
inline F16 Select(W16 mask, F16 yes, F16 no) {
  return {vbslq_f32(mask.a, yes.a, no.a), vbslq_f32(mask.b, yes.b, no.b),
          vbslq_f32(mask.c, yes.c, no.c), vbslq_f32(mask.d, yes.d, no.d)};
}
// NEON's own maximum is a NaN where either is one.
inline F16 Max(F16 x, F16 y) { return Select(Greater(x, y), x, y); }
inline F16 Abs(F16 x) { return {vabsq_f32(x.a), vabsq_f32(x.b), vabsq_f32(x.c), vabsq_f32(x.d)}; }
inline F16 SelectGreater(F16 x, F16 y, F16 yes, F16 no) { return Select(Greater(x, y), yes, no); }
inline uint32_t MaskGreater(F16 x, F16 y) {
  const W16 mask = Greater(x, y);
  const uint32x4_t bits = {1, 2, 4, 8};
  const uint32x4_t low =
      vorrq_u32(vandq_u32(mask.a, bits), vandq_u32(mask.b, vshlq_n_u32(bits, 4)));
  const uint32x4_t high =
      vorrq_u32(vandq_u32(mask.c, vshlq_n_u32(bits, 8)), vandq_u32(mask.d, vshlq_n_u32(bits, 12)));
  return vaddvq_u32(vorrq_u32(low, high));
}
inline F16 SwapPairs(F16 x) {
  return {vrev64q_f32(x.a), vrev64q_f32(x.b), vrev64q_f32(x.c), vrev64q_f32(x.d)};
}
inline float32x4_t ShiftToExponent(float32x4_t x) {
  return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(x), 23));
}
inline F16 ShiftToExponent(F16 x) {
  return {ShiftToExponent(x.a), ShiftToExponent(x.b), ShiftToExponent(x.c), ShiftToExponent(x.d)};
}

template <bool kHigh>
inline float32x4_t WidenBf16(const uint16_t* words) {
  const uint32x4_t pairs = vreinterpretq_u32_u16(vld1q_u16(words));
  return vreinterpretq_f32_u32(kHigh ? vandq_u32(pairs, vdupq_n_u32(0xFFFF0000))
                                     : vshlq_n_u32(pairs, 16));
}
template <bool kHigh>
inline F16 LoadBf16(const uint16_t* line) {
  return {WidenBf16<kHigh>(line), WidenBf16<kHigh>(line + 8), WidenBf16<kHigh>(line + 16),
          WidenBf16<kHigh>(line + 24)};
}

inline D16 ZeroDouble() {
  const float64x2_t zero = vdupq_n_f64(0);
  return {{zero, zero, zero, zero, zero, zero, zero, zero}};
}
inline void AddWidened(float32x4_t v, float64x2_t* sum) {
  sum[0] = vaddq_f64(sum[0], vcvt_f64_f32(vget_low_f32(v)));
  sum[1] = vaddq_f64(sum[1], vcvt_high_f64_f32(v));
}
inline void AddWidened(F16 v, D16& sum) {
  AddWidened(v.a, sum.part);
  AddWidened(v.b, sum.part + 2);
  AddWidened(v.c, sum.part + 4);
  AddWidened(v.d, sum.part + 6);
}
inline void Store(double* p, const D16& v) {
  for (int i = 0; i < 8; ++i) vst1q_f64(p + 2 * i, v.part[i]);
}

inline D8 Load(const double* p) {
  return {vld1q_f64(p), vld1q_f64(p + 2), vld1q_f64(p + 4), vld1q_f64(p + 6)};
}
inline void Store(double* p, D8 v) {
  vst1q_f64(p, v.a);
  vst1q_f64(p + 2, v.b);
  vst1q_f64(p + 4, v.c);
  vst1q_f64(p + 6, v.d);
}
inline D8 BroadcastDouble(double x) {
  const float64x2_t v = vdupq_n_f64(x);
  return {v, v, v, v};
}
inline D8 LoadWidened(const float* p) {
  const float32x4_t low = vld1q_f32(p);
  const float32x4_t high = vld1q_f32(p + 4);
  return {vcvt_f64_f32(vget_low_f32(low)), vcvt_high_f64_f32(low), vcvt_f64_f32(vget_low_f32(high)),
          vcvt_high_f64_f32(high)};
}
inline void StoreNarrowed(float* p, D8 v) {
  vst1q_f32(p, vcvt_high_f32_f64(vcvt_f32_f64(v.a), v.b));
  vst1q_f32(p + 4, vcvt_high_f32_f64(vcvt_f32_f64(v.c), v.d));
}
inline D8 operator*(D8 x, D8 y) {
  return {vmulq_f64(x.a, y.a), vmulq_f64(x.b, y.b), vmulq_f64(x.c, y.c), vmulq_f64(x.d, y.d)};
}
inline D8 Fma(D8 x, D8 y, D8 z) {
  return {vfmaq_f64(z.a, x.a, y.a), vfmaq_f64(z.b, x.b, y.b), vfmaq_f64(z.c, x.c, y.c),
          vfmaq_f64(z.d, x.d, y.d)};
}
inline D8 NegatedFma(D8 x, D8 y, D8 z) {
  return {vfmsq_f64(z.a, x.a, y.a), vfmsq_f64(z.b, x.b, y.b), vfmsq_f64(z.c, x.c, y.c),
          vfmsq_f64(z.d, x.d, y.d)};
}

inline W16 BroadcastWord(uint32_t x) {
  const uint32x4_t v = vdupq_n_u32(x);
  return {v, v, v, v};
}
inline W16 CountFrom(uint32_t first) {
  const uint32x4_t count = {0, 1, 2, 3};
  return {vaddq_u32(count, vdupq_n_u32(first)), vaddq_u32(count, vdupq_n_u32(first + 4)),
          vaddq_u32(count, vdupq_n_u32(first + 8)), vaddq_u32(count, vdupq_n_u32(first + 12))};
}
inline W16 operator^(W16 x, W16 y) {
  return {veorq_u32(x.a, y.a), veorq_u32(x.b, y.b), veorq_u32(x.c, y.c), veorq_u32(x.d, y.d)};
}
inline void MultiplyWide(uint32x4_t x, uint32_t y, uint32x4_t& high, uint32x4_t& low) {
  const uint32x4_t first = vreinterpretq_u32_u64(vmull_n_u32(vget_low_u32(x), y));
  const uint32x4_t second = vreinterpretq_u32_u64(vmull_high_n_u32(x, y));
  low = vuzp1q_u32(first, second);
  high = vuzp2q_u32(first, second);
}
inline void MultiplyWide(W16 x, uint32_t y, W16& high, W16& low) {
  MultiplyWide(x.a, y, high.a, low.a);
  MultiplyWide(x.b, y, high.b, low.b);
  MultiplyWide(x.c, y, high.c, low.c);
  MultiplyWide(x.d, y, high.d, low.d);
}
inline W16 operator+(W16 x, W16 y) {
  return {vaddq_u32(x.a, y.a), vaddq_u32(x.b, y.b), vaddq_u32(x.c, y.c), vaddq_u32(x.d, y.d)};
}
inline W16 operator&(W16 x, W16 y) {
  return {vandq_u32(x.a, y.a), vandq_u32(x.b, y.b), vandq_u32(x.c, y.c), vandq_u32(x.d, y.d)};
}
inline W16 operator|(W16 x, W16 y) {
  return {vorrq_u32(x.a, y.a), vorrq_u32(x.b, y.b), vorrq_u32(x.c, y.c), vorrq_u32(x.d, y.d)};
}
template <int kBits>
inline W16 ShiftRight(W16 x) {
  return {vshrq_n_u32(x.a, kBits), vshrq_n_u32(x.b, kBits), vshrq_n_u32(x.c, kBits),
          vshrq_n_u32(x.d, kBits)};
}
inline W16 Multiply(W16 x, uint32_t y) {
  return {vmulq_n_u32(x.a, y), vmulq_n_u32(x.b, y), vmulq_n_u32(x.c, y), vmulq_n_u32(x.d, y)};
}
inline W16 Min(W16 x, W16 y) {
  return {vminq_u32(x.a, y.a), vminq_u32(x.b, y.b), vminq_u32(x.c, y.c), vminq_u32(x.d, y.d)};
}
inline W16 BitsOf(F16 x) {
  return {vreinterpretq_u32_f32(x.a), vreinterpretq_u32_f32(x.b), vreinterpretq_u32_f32(x.c),
          vreinterpretq_u32_f32(x.d)};
}
inline F16 FromBits(W16 x) {
  return {vreinterpretq_f32_u32(x.a), vreinterpretq_f32_u32(x.b), vreinterpretq_f32_u32(x.c),
          vreinterpretq_f32_u32(x.d)};
}
inline F16 ToFloat(W16 x) {
  return {vcvtq_f32_u32(x.a), vcvtq_f32_u32(x.b), vcvtq_f32_u32(x.c), vcvtq_f32_u32(x.d)};
}
inline F16 Floor(F16 x) {
  return {vrndmq_f32(x.a), vrndmq_f32(x.b), vrndmq_f32(x.c), vrndmq_f32(x.d)};
}

inline float32x4_t WidenFour(const uint16_t* p) {
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
inline F16 LoadBf16Line(const uint16_t* p) {
  return {WidenFour(p), WidenFour(p + 4), WidenFour(p + 8), WidenFour(p + 12)};
}
inline void StoreHighHalves(uint16_t* p, float32x4_t v) {
  vst1_u16(p, vshrn_n_u32(vreinterpretq_u32_f32(v), 16));
}
inline void StoreBf16Line(uint16_t* p, F16 v) {
  StoreHighHalves(p, v.a);
  StoreHighHalves(p + 4, v.b);
  StoreHighHalves(p + 8, v.c);
  StoreHighHalves(p + 12, v.d);
}
inline float32x4_t WidenHalves(const uint16_t* p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
inline F16 LoadHalfLine(const uint16_t* p) {
  return {WidenHalves(p), WidenHalves(p + 4), WidenHalves(p + 8), WidenHalves(p + 12)};
}
inline void StoreHalves(uint16_t* p, float32x4_t v) {
  vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
}
inline void StoreHalfLine(uint16_t* p, F16 v) {
  StoreHalves(p, v.a);
  StoreHalves(p + 4, v.b);
  StoreHalves(p + 8, v.c);
  StoreHalves(p + 12, v.d);
}
inline float32x4_t Upper24(uint32x4_t x) { return vcvtq_f32_u32(vshrq_n_u32(x, 8)); }
inline F16 Upper24(W16 x) { return {Upper24(x.a), Upper24(x.b), Upper24(x.c), Upper24(x.d)}; }

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_VEC_NEON_H_
