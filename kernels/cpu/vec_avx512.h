// Sixteen f32 lanes as one AVX-512 register (F, BW, DQ, VL). vec_scalar.h says what each function
// means.
//
// Included by the kernels_avx512*.cc alone. Internal linkage throughout (kernels/README.md).
#ifndef SSMD_KERNELS_CPU_VEC_AVX512_H_
#define SSMD_KERNELS_CPU_VEC_AVX512_H_

#include <immintrin.h>

#include <cstdint>

namespace ssmd::kernels::cpu {
namespace {

constexpr int kLanes = 16;

// 32 registers: 24 accumulators, 2 or 4 of weights and a broadcast input.
constexpr int kTileRows = 12, kTilePanels = 2;
constexpr int kLowTileRows = 6, kLowTilePanels = 4;

struct F16 {
  __m512 v;
};
struct W16 {
  __m512i v;
};
struct D16 {
  __m512d lo, hi;
};
constexpr int kDoubleLanes = 8;
struct D8 {
  __m512d v;
};

inline F16 Load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void Store(float* p, F16 a) { _mm512_storeu_ps(p, a.v); }
inline F16 Broadcast(float x) { return {_mm512_set1_ps(x)}; }
inline void Prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

inline F16 operator+(F16 a, F16 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline F16 operator-(F16 a, F16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline F16 operator*(F16 a, F16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline F16 operator/(F16 a, F16 b) { return {_mm512_div_ps(a.v, b.v)}; }
inline F16 Fma(F16 a, F16 b, F16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline F16 NegatedFma(F16 a, F16 b, F16 c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
inline F16 Max(F16 a, F16 b) { return {_mm512_max_ps(a.v, b.v)}; }
inline F16 Abs(F16 a) { return {_mm512_andnot_ps(_mm512_set1_ps(-0.0f), a.v)}; }
inline F16 SelectGreater(F16 a, F16 b, F16 yes, F16 no) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ), no.v, yes.v)};
}
inline uint32_t MaskGreater(F16 a, F16 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ); }
inline F16 SwapPairs(F16 a) { return {_mm512_permute_ps(a.v, 0xB1)}; }
inline F16 ShiftToExponent(F16 a) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a.v), 23))};
}

template <bool kHigh>
inline F16 LoadBf16(const uint16_t* line) {
  const __m512i pairs = _mm512_loadu_si512(line);
  const __m512i high = _mm512_set1_epi32(static_cast<int>(0xFFFF0000));
  return {
      _mm512_castsi512_ps(kHigh ? _mm512_and_si512(pairs, high) : _mm512_slli_epi32(pairs, 16))};
}

inline D16 ZeroDouble() { return {_mm512_setzero_pd(), _mm512_setzero_pd()}; }
inline void AddWidened(F16 a, D16& sum) {
  sum.lo = _mm512_add_pd(sum.lo, _mm512_cvtps_pd(_mm512_castps512_ps256(a.v)));
  sum.hi = _mm512_add_pd(sum.hi, _mm512_cvtps_pd(_mm512_extractf32x8_ps(a.v, 1)));
}
inline void Store(double* p, const D16& a) {
  _mm512_storeu_pd(p, a.lo);
  _mm512_storeu_pd(p + 8, a.hi);
}

inline D8 Load(const double* p) { return {_mm512_loadu_pd(p)}; }
inline void Store(double* p, D8 a) { _mm512_storeu_pd(p, a.v); }
inline D8 BroadcastDouble(double x) { return {_mm512_set1_pd(x)}; }
inline D8 LoadWidened(const float* p) { return {_mm512_cvtps_pd(_mm256_loadu_ps(p))}; }
inline void StoreNarrowed(float* p, D8 a) { _mm256_storeu_ps(p, _mm512_cvtpd_ps(a.v)); }
inline D8 operator*(D8 a, D8 b) { return {_mm512_mul_pd(a.v, b.v)}; }
inline D8 Fma(D8 a, D8 b, D8 c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
inline D8 NegatedFma(D8 a, D8 b, D8 c) { return {_mm512_fnmadd_pd(a.v, b.v, c.v)}; }

inline W16 BroadcastWord(uint32_t x) { return {_mm512_set1_epi32(static_cast<int>(x))}; }
inline W16 CountFrom(uint32_t first) {
  const __m512i count = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return {_mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first)), count)};
}
inline W16 operator^(W16 a, W16 b) { return {_mm512_xor_si512(a.v, b.v)}; }
inline void MultiplyWide(W16 a, uint32_t b, W16& high, W16& low) {
  const __m512i factor = _mm512_set1_epi32(static_cast<int>(b));
  const __m512i even = _mm512_mul_epu32(a.v, factor);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a.v, 32), factor);
  low.v = _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
  high.v = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
}
inline W16 operator+(W16 a, W16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
inline W16 operator&(W16 a, W16 b) { return {_mm512_and_si512(a.v, b.v)}; }
inline W16 operator|(W16 a, W16 b) { return {_mm512_or_si512(a.v, b.v)}; }
template <int kBits>
inline W16 ShiftRight(W16 a) {
  return {_mm512_srli_epi32(a.v, kBits)};
}
inline W16 Multiply(W16 a, uint32_t b) {
  return {_mm512_mullo_epi32(a.v, _mm512_set1_epi32(static_cast<int>(b)))};
}
inline W16 Min(W16 a, W16 b) { return {_mm512_min_epu32(a.v, b.v)}; }
inline W16 BitsOf(F16 a) { return {_mm512_castps_si512(a.v)}; }
inline F16 FromBits(W16 a) { return {_mm512_castsi512_ps(a.v)}; }
inline F16 ToFloat(W16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
inline F16 Floor(F16 a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)};
}

inline __m256i LoadSixteen(const uint16_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline F16 LoadBf16Line(const uint16_t* p) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(LoadSixteen(p)), 16))};
}
inline void StoreBf16Line(uint16_t* p, F16 a) {
  const __m512i high = _mm512_srli_epi32(_mm512_castps_si512(a.v), 16);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(high));
}
inline F16 LoadHalfLine(const uint16_t* p) { return {_mm512_cvtph_ps(LoadSixteen(p))}; }
inline void StoreHalfLine(uint16_t* p, F16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(a.v, _MM_FROUND_TO_ZERO));
}
inline F16 Upper24(W16 a) { return {_mm512_cvtepi32_ps(_mm512_srli_epi32(a.v, 8))}; }

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_VEC_AVX512_H_
